"""The log that the daemon has kept, from a cursor on, byte for byte as the bot wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.model import LogStream, Stream
from botdock_engine_docker.deadline import Deadline
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder, Joiner
from botdock_engine_docker.lines import LineMender, read_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdock.model import LogChunk, LogCursor
    from botdock_engine_docker.refusals import Call
    from botdock_engine_docker.streams import End
    from botdock_engine_docker.wire import Wire

TOGETHER_NS = 100_000_000
"""Lines of so many nanoseconds may share a chunk, and so a time: fewer chunks, and times that are true to 0.1 s."""


class LogReader(LogStream):
    """Reads the log, skipping what the cursor says is stored.

    A followed log may end without its last line where that has no newline (8 to 12 of 25 times on Docker 20.10); so,
    once the container has ended, the log is read once more without following, and what is new in it is delivered.
    """

    def __init__(
        self, open_log: Callable[[bool], Wire], *, cursor: LogCursor, follow: bool, end: End, call: Call
    ) -> None:
        self._open = open_log
        self._end = end
        self._call = call
        self._follow = follow
        self._delivered = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._pass = Pass(open_log(follow), self._delivered, call)
        self._closed = False
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte."""
        deadline = Deadline(timeout)
        while not (self._ended or self._closed):
            if self._pass.ended:
                self._finish(deadline.left)
            elif chunks := self._pass.read(deadline.left):
                return chunks
            if deadline.passed:
                break
        return ()

    def fileno(self) -> int | None:
        """Return None: following the log and reading it once more are two connections."""
        return None

    def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        self._pass.close()

    def _finish(self, timeout: float) -> None:
        if not self._follow:
            self._ended = True
        elif self._end.confirm(timeout):
            self._follow = False
            self._pass.close()
            self._pass = Pass(self._open(False), self._delivered, self._call)  # noqa: FBT003 - it is called `follow`
            if self._closed:  # by another thread, which may have closed the pass before
                self._pass.close()


class Pass:
    """One reading of the log from its beginning.

    Args:
        wire: The answer of the daemon.
        delivered: Bytes of each stream that are not to be delivered again; kept up to date.
        call: For messages.
    """

    def __init__(self, wire: Wire, delivered: dict[Stream, int], call: Call) -> None:
        self._wire = wire
        self._delivered = delivered
        self._call = call
        self._seen = dict.fromkeys(Stream, 0)
        self._frames = FrameDecoder()
        self._mender = LineMender()
        self._joiner = Joiner()

    @property
    def ended(self) -> bool:
        """Whether all of the log has been read."""
        return self._wire.ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what is new in the next piece of it; empty for nothing in time, or nothing new."""
        with translated(self._call):
            for stream, payload in self._frames.feed(self._wire.receive(timeout)):
                time_ns, data = read_timestamp(payload)
                self._add(stream, self._mender.mend(stream, time_ns, data), time_ns)
        return self._joiner.take()

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    def _add(self, stream: Stream, data: bytes, time_ns: int) -> None:
        stored = self._delivered[stream] - self._seen[stream]
        self._seen[stream] += len(data)
        if stored >= len(data):
            return
        new = data[stored:] if stored > 0 else data
        self._delivered[stream] += len(new)
        began = self._joiner.time_ns
        self._joiner.add(stream, new, time_ns, apart=abs(time_ns - began) > TOGETHER_NS)
