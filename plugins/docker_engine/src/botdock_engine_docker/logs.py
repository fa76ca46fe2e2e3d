"""The log that the daemon has kept, from a cursor on, byte for byte as the bot wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.errors import ContainerNotFoundError
from botdock.model import Stream
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder, Joiner
from botdock_engine_docker.lines import LineMender, read_timestamp
from botdock_engine_docker.streams import WireStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdock.model import LogChunk, LogCursor
    from botdock_engine_docker.ending import Ending
    from botdock_engine_docker.refusals import Call
    from botdock_engine_docker.wire import Wire

TOGETHER_NS = 100_000_000
"""Lines of so many nanoseconds may share a chunk, and so a time: fewer chunks, and times that are true to 0.1 s."""


class LogReader(WireStream):
    """Reads the log, skipping what the cursor says is stored.

    A followed log may end without its last line where that has no newline (8 to 12 of 25 times on Docker 20.10); so,
    once the container has ended, the log is read once more without following, and what is new in it is delivered.

    Args:
        wire: The log, followed or not.
        read_again: Asks for the log without following it; None when `wire` does not follow it either.
        cursor: What is stored already.
        ending: Tells when the container has ended.
        call: For messages.
    """

    def __init__(
        self, wire: Wire, read_again: Callable[[], Wire] | None, *, cursor: LogCursor, ending: Ending, call: Call
    ) -> None:
        super().__init__(wire, ending)
        self._call = call
        self._ask_again = read_again
        self._followed = False
        self._delivered = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
        self._pass = Pass(self._delivered)

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._followed:
            if self._container_has_ended(timeout):
                self._read_again()
            return ()
        try:
            piece = self._wire.receive(timeout)
        except ContainerNotFoundError:
            self._ended = True  # somebody has removed it meanwhile, and its log with it
            return ()
        with translated(self._call):
            chunks = self._pass.feed(piece)
        if self._wire.ended:
            self._finish()
        return chunks

    def _finish(self) -> None:
        if self._ask_again is None:
            self._ended = True
        else:
            self._followed = True
            self._await_end()

    def _read_again(self) -> None:
        """Read the whole log once more, now that nothing can be added to it."""
        if self._ask_again is not None:
            self._switch(self._ask_again())
        self._pass = Pass(self._delivered)
        self._followed, self._ask_again = False, None


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
