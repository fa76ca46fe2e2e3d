"""Docker's multiplexed stream: frames of eight bytes (stream, length) and a payload.

The format is that of `POST /containers/{id}/attach` in Docker's API reference.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from botdock.model import LogChunk, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = Struct(">BxxxL")
LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes; Docker's frames have at most 64 KiB, so a longer one is no frame."""
STREAMS = {0: Stream.STDOUT, 1: Stream.STDOUT, 2: Stream.STDERR}
"""The number in the header; 0 is stdin, which Docker's own client shows on stdout too."""
ENGINE_ERROR = 3
"""The stream on which the daemon says that it cannot go on."""


class FrameError(ValueError):
    """The bytes are no frames, or one that says that the daemon failed."""


class FrameDecoder:
    """Takes a stream of bytes apart, however it is cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def within_frame(self) -> bool:
        """Whether the end of a frame is still to come."""
        return bool(self._rest)

    def feed(self, piece: bytes) -> Iterator[tuple[Stream, memoryview]]:
        """Yield stream and payload of each frame that is now complete; what is left waits for the next piece.

        Raises:
            FrameError: These are no frames.
        """
        data = self._rest + piece if self._rest else piece
        view, end, start = memoryview(data), len(data), 0
        while end - start >= HEADER.size:
            number, size = HEADER.unpack_from(data, start)
            if number not in STREAMS or size > LARGEST_FRAME:
                self._refuse(number, data[start:])
            stop = start + HEADER.size + size
            if stop > end:
                break
            yield STREAMS[number], view[start + HEADER.size : stop]
            start = stop
        self._rest = data[start:]

    def _refuse(self, number: int, data: bytes) -> None:
        if number == ENGINE_ERROR:
            words = data[HEADER.size :].decode("utf-8", "replace").strip()
            raise FrameError(f"the daemon says: {words[:500]}")
        raise FrameError(f"not a frame of a log: {data[:16]!r}")


class Joiner:
    """Joins neighbouring frames of one stream, so that what stands above handles fewer and longer chunks."""

    def __init__(self) -> None:
        self._stream = Stream.STDOUT
        self._time_ns = 0
        self._parts: list[memoryview | bytes] = []
        self._chunks: list[LogChunk] = []

    def add(self, stream: Stream, data: memoryview | bytes, time_ns: int, *, apart: bool = False) -> None:
        """Add a frame; `apart` begins a new chunk with it whatever its stream."""
        if not len(data):
            return
        if self._parts and (stream is not self._stream or apart):
            self._flush()
        if not self._parts:
            self._stream, self._time_ns = stream, time_ns
        self._parts.append(data)

    def take(self) -> list[LogChunk]:
        """Return the chunks, and begin anew."""
        self._flush()
        chunks, self._chunks = self._chunks, []
        return chunks

    @property
    def time_ns(self) -> int:
        """When the chunk that is being joined began; 0 for none."""
        return self._time_ns if self._parts else 0

    def _flush(self) -> None:
        if self._parts:
            self._chunks.append(LogChunk(self._stream, b"".join(self._parts), self._time_ns))
            self._parts = []
