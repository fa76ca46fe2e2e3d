"""The log that the daemon has kept, from a cursor on, byte for byte as the bot wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.model import Stream
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder, Joiner
from botdock_engine_docker.lines import LineMender, read_timestamp
from botdock_engine_docker.streams import WireStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdock.model import LogChunk, LogCursor
    from botdock_engine_docker.refusals import Call
    from botdock_engine_docker.streams import End
    from botdock_engine_docker.wire import Wire

TOGETHER_NS = 100_000_000
"""Lines of so many nanoseconds may share a chunk, and so a time: fewer chunks, and times that are true to 0.1 s."""


class LogReader(WireStream):
    """Reads the log, skipping what the cursor says is stored.

    A followed log may end without its last line where that has no newline (8 to 12 of 25 times on Docker 20.10); so,
    once the container has ended, the log is read once more without following, and what is new in it is delivered.

    Args:
        open_log: Opens the log, following it or not.
        cursor: What is stored already.
        follow: Whether to wait for what is still to come.
        end: Tells when the container has ended.
        call: For messages.
    """

    def __init__(
        self, open_log: Callable[[bool], Wire], *, cursor: LogCursor, follow: bool, end: End, call: Call
    ) -> None:
        super().__init__(open_log(follow))
        self._open = open_log
        self._end = end
        self._call = call
        self._follow = follow
        self._delivered = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._pass = Pass(self._delivered)

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._follow and self._end.awaited:
            if self._end.reached(self._wire, timeout):
                self._read_again()
            return ()
        piece = self._wire.receive(timeout)
        with translated(self._call):
            chunks = self._pass.feed(piece)
        if self._wire.ended:
            self._finish()
        return chunks

    def _finish(self) -> None:
        if not self._follow or (wire := self._end.begin()) is None:
            self._ended = True
        else:
            self._switch(wire)

    def _read_again(self) -> None:
        self._follow = False
        self._pass = Pass(self._delivered)
        self._switch(self._open(False))  # noqa: FBT003 - what it says is: do not follow


class Pass:
    """One reading of the log from its beginning.

    Args:
        delivered: Bytes of each stream that are not to be delivered again; kept up to date.
    """

    def __init__(self, delivered: dict[Stream, int]) -> None:
        self._delivered = delivered
        self._seen = dict.fromkeys(Stream, 0)
        self._frames = FrameDecoder()
        self._mender = LineMender()
        self._joiner = Joiner()

    def feed(self, piece: bytes) -> Sequence[LogChunk]:
        """Return what is new in a piece of it."""
        for stream, payload in self._frames.feed(piece):
            time_ns, data = read_timestamp(payload)
            self._add(stream, self._mender.mend(stream, time_ns, data), time_ns)
        return self._joiner.take()

    def _add(self, stream: Stream, data: bytes, time_ns: int) -> None:
        stored = self._delivered[stream] - self._seen[stream]
        self._seen[stream] += len(data)
        if stored >= len(data):
            return
        new = data[stored:] if stored > 0 else data
        self._delivered[stream] += len(new)
        began = self._joiner.time_ns
        self._joiner.add(stream, new, time_ns, apart=abs(time_ns - began) > TOGETHER_NS)
