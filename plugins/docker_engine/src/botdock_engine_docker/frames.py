"""Docker's multiplexed stream: frames of eight bytes (stream, length) and a payload.

The format is that of `POST /containers/{id}/attach` in Docker's API reference.
"""

from __future__ import annotations

from struct import Struct

from botdock.model import LogChunk, Stream

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

    def feed(self, piece: bytes) -> list[tuple[Stream, list[bytes]]]:
        """Return the frames that are now complete; what is left waits for the next piece.

        A line-buffered bot makes a frame a line, a million of them, so that a frame costs one turn of a short loop.

        Returns:
            The payloads, those of neighbours of one stream together.

        Raises:
            FrameError: These are no frames.
        """
        data = self._rest + piece if self._rest else piece
        unpack, begin, end, head = HEADER.unpack_from, 0, len(data), HEADER.size
        runs: list[tuple[Stream, list[bytes]]] = []
        payloads: list[bytes] = []
        current = -1
        while end - begin >= head:
            number, size = unpack(data, begin)
            stop = begin + head + size
            if stop > end or number not in STREAMS:
                self._check(number, size, data[begin:])
                break
            if number != current:
                payloads, current = [], number
                runs.append((STREAMS[number], payloads))
            payloads.append(data[begin + head : stop])
            begin = stop
        self._rest = data[begin:]
        return runs

    def _check(self, number: int, size: int, data: bytes) -> None:
        if number == ENGINE_ERROR:
            words = data[HEADER.size :].decode("utf-8", "replace").strip()
            raise FrameError(f"the daemon says: {words[:500]}")
        if number not in STREAMS or size > LARGEST_FRAME:
            raise FrameError(f"not a frame of a log: {data[:16]!r}")


def join(runs: list[tuple[Stream, list[bytes]]], time_ns: int) -> list[LogChunk]:
    """Make one chunk of each run of neighbours, so that what stands above handles fewer and longer ones."""
    joined = ((stream, b"".join(payloads)) for stream, payloads in runs)
    return [LogChunk(stream, data, time_ns) for stream, data in joined if data]
