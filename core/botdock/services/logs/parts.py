"""What a collection consists of, beside its stream and its writer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import BotdockError
from botdock.model.logs import LogChunk, LogCursor, LogGap, LogSource, LogStream, Stream
from botdock.services.lines import LineSplitter, parts
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogWriter

if TYPE_CHECKING:
    from loguru import Logger

LARGEST_CHUNK = 1024 * 1024
"""Bytes of a chunk as it is stored; a stream that delivers larger ones makes no reader hold them."""
MAX_BACKLOG = 4
"""Segments that may wait to be sealed and removed before the bot has to wait for the disk."""


@attrs.frozen(kw_only=True)
class CollectionStatus:
    """How a collection stands.

    Attributes:
        bytes: Bytes stored so far, both streams.
        ended: Whether nothing more will come.
        error: Why it broke, or an empty text.
        resumed: How often a broken stream was continued.
        gaps: How often bytes were found missing, since this collection began.
    """

    bytes: int
    ended: bool
    error: str
    resumed: int
    gaps: int


@attrs.frozen(kw_only=True)
class Wishes:
    """What the starter of a collection wants of it; see `LogCollector.start_collection`."""

    retain: int | None = None
    on_limit: Callable[[], None] = lambda: None
    on_failure: Callable[[BotdockError], None] = lambda _error: None
    on_segment: Callable[[int], None] | None = None
    reopen: Callable[[LogCursor], LogStream] | None = None


@attrs.define(eq=False)
class Upkeep:
    """What the housekeeping knows of a collection's segments.

    Attributes:
        first: Number of the oldest segment that is kept.
        sealed: Number of the first one that is not sealed yet.
        unstored: Sealed ones that `on_segment` has not been told of, in order.
        storing: Whether it is being told right now.
        compressing: Whether one is being compressed right now.
        dirty: Whether something was stored since the last sync began.
        asked: Whether the housekeeping is about to look at them.
        released: Whether the folder belongs to another collector now.
        lock: Held to seal, remove or finish.
        changed: Notified when one was stored or compressed.
    """

    first: int = 0
    sealed: int = 0
    unstored: deque[int] = attrs.field(factory=deque)
    storing: bool = False
    compressing: bool = False
    dirty: bool = False
    asked: bool = False
    released: bool = False
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    changed: threading.Condition = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)


class Growth:
    """Records how much a log has grown since it was last looked at: each byte once, and not each chunk for itself.

    What an earlier collector stored is not counted: that one has.

    Args:
        written: Returns the bytes that were ever stored; never less than before.
        record: Told of each `store` with its bytes.
    """

    def __init__(self, written: Callable[[], int], record: Callable[[str, bool, int], None]) -> None:
        self._written = written
        self._record = record
        self._counted = written()
        self._lock = threading.Lock()

    def count(self) -> None:
        """Record what was stored since the last time, if anything was; any thread may."""
        with self._lock:
            size = self._written() - self._counted
            self._counted += size
        if size:
            self._record("store", True, size)  # noqa: FBT003 - the callback's signature


class Losses:
    """Notes each gap once, right before the first byte behind it: until then, a successor finds it once more.

    Args:
        writer: Of the log.
        record: Told of each `gap`, with its bytes as far as they are known.
        log: Botdock's own log.

    Attributes:
        count: How many were noted.
    """

    def __init__(self, writer: LogWriter, record: Callable[[str, bool, int], None], log: Logger) -> None:
        self.count = 0
        self._writer = writer
        self._record = record
        self._log = log
        self._pending: dict[Stream, LogGap] | None = None

    @property
    def known(self) -> bool:
        """Whether it has been found out what the stream that is read has lost."""
        return self._pending is not None

    def begin(self) -> None:
        """Begin anew, with another stream."""
        self._pending = None

    def find(self, gaps: Iterable[LogGap]) -> None:
        """Learn what lies between what is stored and what comes."""
        self._pending = {gap.stream: gap for gap in gaps}

    def note(self, stream: Stream) -> None:
        """Note what is missing before a chunk of `stream`, if anything is.

        Raises:
            LogError: The disk took no more.
        """
        if self._pending and (gap := self._pending.pop(stream, None)):
            self._writer.note_gap(gap)
            self.count += 1
            self._record("gap", False, gap.size or 0)  # noqa: FBT003 - the callback's signature
            self._log.bind(stream=str(stream), size=gap.size).warning("the engine had lost a part of the log")

    def note_all(self) -> None:
        """Note what is missing at the end, behind which nothing comes.

        Raises:
            LogError: The disk took no more.
        """
        for stream in Stream:
            self.note(stream)


class LineFeed:
    """Offers a log to the sinks as whole lines, also the one that the log on disk is in the middle of.

    Args:
        sinks: Who gets the lines; none of them is waited for.
        source: Whose lines they are.
        writer: Knows what is stored already.
    """

    def __init__(self, sinks: SinkFanOut, source: LogSource, writer: LogWriter) -> None:
        self._sinks = sinks
        self._source = source
        last_ns = writer.cursor.last_ns
        self._splitter = LineSplitter({stream: (rest, last_ns) for stream, rest in writer.open_lines().items() if rest})

    def offer(self, chunk: LogChunk, stored: bytes) -> None:
        """Offer what is stored now that `chunk` was."""
        if stored and self._sinks:
            for part in parts(attrs.evolve(chunk, data=stored)):
                if lines := self._splitter.feed(part):
                    self._sinks.offer(self._source, lines)

    def finish(self) -> None:
        """Offer the lines that no newline ended, for nothing more will come."""
        if self._sinks and (lines := self._splitter.finish()):
            self._sinks.offer(self._source, lines)


def close_quietly(stream: LogStream) -> None:
    """Close a stream, which was to raise nothing."""
    with suppress(Exception):
        stream.close()


def words_of(error: BaseException) -> str:
    """Return what an error says."""
    return error.message if isinstance(error, BotdockError) else f"the log stream failed: {error!r}"


def call_safely(log: Logger, callback: Callable[..., None], *arguments: Any) -> None:
    """Call a listener; what is raised, even to exit, must not stop the thread of all."""
    try:
        callback(*arguments)
    except BaseException as error:  # noqa: BLE001 - as said
        log.bind(error=repr(error)).error("a callback of a log collection failed")
