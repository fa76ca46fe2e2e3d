"""What a bot writes, from the engine's bytes to a reader's lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stream(StrEnum):
    """The two streams of a bot."""

    STDOUT = "stdout"
    STDERR = "stderr"

    __hash__ = str.__hash__  # an enumeration's own is written in Python, and each line of a log asks for it


@attrs.frozen
class LogChunk:
    """Bytes of one stream, as the engine delivered them: no meaning is given to where a chunk ends.

    Attributes:
        stream: Which stream they are from.
        data: The bytes, at least one; exactly what the bot wrote.
        time_ns: When they were seen, nanoseconds since the epoch, or 0 where the engine cannot say.
    """

    stream: Stream
    data: bytes
    time_ns: int = 0


class GapReason(StrEnum):
    """Why bytes that the bot wrote are not stored."""

    LOST = "lost"
    """The engine no longer had them when they were to be read: rotated away."""
    LIMIT = "limit"
    """They came after the output limit, and before the end that is kept."""
    REMOVED = "removed"
    """They were stored, and retention has removed them since."""


_WHY = {
    GapReason.LOST: "the engine no longer had them",
    GapReason.LIMIT: "over the output limit",
    GapReason.REMOVED: "removed since, by retention",
}


@attrs.frozen(kw_only=True)
class LogGap:
    """Bytes of one stream that are missing between two stored ones.

    Attributes:
        stream: Of which stream.
        size: How many bytes, or None where that is not known.
        since_ns: Nanoseconds since the epoch of the last byte before it; 0 for not known.
        until_ns: The same of the first byte after it.
        reason: Why they are missing.
        position: As of a `LogLine`.
    """

    stream: Stream
    size: int | None
    since_ns: int = 0
    until_ns: int = 0
    reason: GapReason = GapReason.LOST
    position: str = attrs.field(default="", eq=False, repr=False)

    @property
    def text(self) -> str:
        """What stands for it where only lines can be shown."""
        size = "an unknown number of" if self.size is None else f"{self.size:,}"
        return f"[{size} bytes of {self.stream} are missing: {_WHY[self.reason]}]"


@attrs.frozen(kw_only=True)
class LogCursor:
    """How much of each stream has been stored; a reader that takes over skips exactly that.

    The two counts say all where the engine still has the log from its first byte. For one that has rotated its
    beginning away, the rest tells where what is stored ends.

    Attributes:
        stdout: Bytes of stdout stored, and those of it that are known to be missing.
        stderr: The same of stderr.
        first_ns: When the first byte of either stream was seen, nanoseconds since the epoch; 0 for none yet.
        last_ns: When the last one was seen.
        stdout_tail: The end of what is stored of stdout; a masked byte is a `*`.
        stderr_tail: The same of stderr.
        anchor: The engine's own opaque mark that makes the skipping cheap (a timestamp, an offset), or empty.
    """

    stdout: int = 0
    stderr: int = 0
    first_ns: int = 0
    last_ns: int = 0
    stdout_tail: bytes = b""
    stderr_tail: bytes = b""
    anchor: str = ""


@attrs.frozen
class LogLine:
    """One line as a sink or a reader gets it.

    Attributes:
        stream: Which stream it is from.
        data: Its bytes without the newline; a very long line comes in pieces, none of which cuts a character of UTF-8.
        time_ns: When its first byte was seen, nanoseconds since the epoch.
        complete: Whether a newline ended it; False for a piece of a long line and for an unterminated last one.
        position: A short text with which `Executions.logs(after=...)` goes on right behind it; empty elsewhere.
    """

    stream: Stream
    data: bytes
    time_ns: int = 0
    complete: bool = True
    position: str = attrs.field(default="", eq=False, repr=False, kw_only=True)

    @property
    def text(self) -> str:
        """The line as text, with what is not UTF-8 replaced."""
        return self.data.decode("utf-8", "replace")


@attrs.frozen(kw_only=True)
class LogSource:
    """Where a line comes from.

    Attributes:
        execution_id: The run.
        id: The executable's id.
        runtime: The runtime's name.
    """

    execution_id: str
    id: str
    runtime: str


@attrs.frozen(kw_only=True)
class LogSummary:
    """What is stored of a log, with its proof.

    Attributes:
        bytes: Bytes of both streams that are stored.
        lines: Newlines of both streams, plus an unterminated last line of each.
        sha256: Of the two lines `stdout <its SHA-256>` and `stderr <its SHA-256>`: one hash for both streams.
        streams: Per stream the bytes, lines and SHA-256 of what is stored, all segments in their order.
        gaps: How often bytes are missing (the engine had lost them, or a limit dropped them).
        gap_bytes: How many are missing, as far as that is known.
        gap_seconds: The time that the gaps of unknown size span.
        masked: How many secrets were masked.
        segments: How many segments are kept.
        removed_segments: How many of the oldest ones retention has removed; what was in them is in no other number.
        removed_bytes: Bytes of them.
        removed_lines: Lines of them.
        complete: Whether the log was drained to its end and the exit was known.
    """

    bytes: int = 0
    lines: int = 0
    sha256: str = ""
    streams: dict[str, dict[str, int | str]] = attrs.field(factory=dict)
    gaps: int = 0
    gap_bytes: int = 0
    gap_seconds: float = 0.0
    masked: int = 0
    segments: int = 0
    removed_segments: int = 0
    removed_bytes: int = 0
    removed_lines: int = 0
    complete: bool = False


class LogStream(ABC):
    """The bytes of a container's two streams, as they come; what `Engine.attach` and `Engine.read_logs` return.

    It must not lose, repeat or reorder bytes of one stream. It is read by one thread; `close` may be
    called by another, and then a waiting `read` returns.

    Example:
        >>> class Nothing(LogStream):
        ...     ended = True
        ...     def read(self, timeout): return ()
        ...     def fileno(self): return None
        ...     def close(self): pass
        >>> with Nothing() as stream:
        ...     stream.read(0.0), stream.ended
        ((), True)
    """

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the end of the log has been read; after that, `read` returns nothing."""

    @property
    def lost(self) -> Sequence[LogGap]:
        """What lies between the cursor and the first byte, and is gone; at most one gap a stream.

        Known from the moment on at which `read` has returned a chunk or the end has come. It stays the same then.
        """
        return ()

    @property
    def activity(self) -> int:
        """A number that changes while the engine delivers, also what the cursor skips; 0 where the engine cannot tell.

        By it the collector, which waits for the end of a long log, tells an engine that works from one that hangs.
        """
        return 0

    @abstractmethod
    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte.

        Args:
            timeout: Seconds; 0 returns what is there already.

        Returns:
            Chunks in the order in which they came; neighbours of one stream may be joined. Empty when nothing came in
            time, and at the end.

        Raises:
            ContainerError: The stream broke before its end; `read_logs` from a cursor continues it.
        """

    @abstractmethod
    def fileno(self) -> int | None:
        """Return a descriptor that is readable when `read(0)` has something, so that one loop can serve many streams.

        None where there is no such descriptor; the collector then polls.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; never raises, and may be called twice."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class LogSink(ABC):
    """Somewhere else that lines go: a log system, a file, a chat.

    Each sink has a thread and a bounded queue of its own: one that is slow, blocks or raises delays no other;
    what it could not take is counted.

    Example:
        >>> class Count(LogSink):
        ...     lines = 0
        ...     def write(self, source, lines): self.lines += len(lines)
        ...     def close(self): pass
        >>> sink = Count()
        >>> sink.write(LogSource(execution_id="01", id="bot", runtime="bash"), [LogLine(Stream.STDOUT, b"hi")])
        >>> sink.lines
        1
    """

    @abstractmethod
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Take some lines of one execution, in their order."""

    @abstractmethod
    def close(self) -> None:
        """Deliver what is held back and let go; called once, after the last `write`."""
