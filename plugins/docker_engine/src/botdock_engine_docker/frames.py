"""Docker's multiplexed stream: frames of eight bytes (stream, length) and a payload.

The format is that of `POST /containers/{id}/attach` in Docker's API reference.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from botdock.model import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = Struct(">BxxxL")
LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes; Docker's frames have at most 64 KiB, so a longer one is not a frame."""
STREAMS = {0: Stream.STDOUT, 1: Stream.STDOUT, 2: Stream.STDERR}
"""The number in the header; 0 is stdin, which Docker's own client shows on stdout too."""
ENGINE_ERROR = 3
"""The stream on which the daemon says that it cannot go on."""


class FrameError(ValueError):
    """The bytes are not frames, or are one that says that the daemon failed."""


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
            FrameError: These are not frames.
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


class FrameSkipper:
    """Drops frames that hold nothing but stored bytes, without a look at these: as fast as the daemon delivers them.

    What has to be looked at passes: the first frame, what belongs to a line of several frames, and what is near the end
    of what is stored.

    Args:
        width: Bytes of the timestamp with which a payload begins.
        longest: Bytes that a frame holds at most; with so many, its line goes on in the next one.
        near: Bytes before the end of what is stored that pass, by stream.
    """

    def __init__(self, *, width: int, longest: int, near: Mapping[Stream, int]) -> None:
        self.stamp = b""
        """Timestamp of the newest frame that was dropped."""
        self.blurred = False
        """Whether it is not known how many frames of the newest timestamp came, since some were dropped."""
        self._width = width
        self._longest = longest
        self._near = near
        self._rest = b""
        self._open: set[int] = set(STREAMS)
        """The streams whose next frame passes."""
        self._stamps: dict[int, bytes] = {}

    def drop(self, piece: bytes, left: dict[Stream, int]) -> bytes:
        """Return the frames that pass, and take from `left` what the others held, which has to be skipped no more.

        Args:
            piece: Of the answer.
            left: How many bytes of each stream are to be skipped yet.
        """
        room = {number: left[stream] - self._near[stream] for number, stream in STREAMS.items()}
        data, self._rest = self._rest + piece, b""
        if all(size <= 0 for size in room.values()):
            return data
        unpack, begin, end, head, width = HEADER.unpack_from, 0, len(data), HEADER.size, self._width
        longest, passing, before = self._longest + width, self._open, dict(room)
        last: dict[int, int] = {}
        parts: list[bytes] = []
        passed = -1
        while end - begin >= head:
            number, size = unpack(data, begin)
            stop = begin + head + size
            if stop > end or number not in STREAMS:
                break
            if number in passing or size >= longest or size < width or room[number] < size - width:
                parts.append(data[begin:stop])
                passed = begin
                self._pass(number, data, begin, last.get(number), is_open=size >= longest)
                room[number] -= size  # with what the daemon may have dropped of it, and more
                before[number] -= size
            else:
                room[number] -= size - width
                last[number] = begin
            begin = stop
        self._note(data, last, passed)
        for number, stream in STREAMS.items():
            left[stream] -= before[number] - room[number]
        if end - begin >= head and data[begin] not in STREAMS:
            return b"".join([*parts, data[begin:]])  # the decoder finds out what is wrong
        self._rest = data[begin:]
        return b"".join(parts)

    def _pass(self, number: int, data: bytes, begin: int, dropped: int | None, *, is_open: bool) -> None:
        start = begin + HEADER.size
        before = self._stamps.get(number) if dropped is None else self._stamp(data, dropped)
        self.blurred = before == data[start : start + self._width]
        if is_open:
            self._open.add(number)
        else:
            self._open.discard(number)

    def _note(self, data: bytes, last: Mapping[int, int], passed: int) -> None:
        for number, begin in last.items():
            self._stamps[number] = self._stamp(data, begin)
        if last:
            newest = max(last.values())
            self.stamp = self._stamp(data, newest)
            self.blurred = self.blurred or newest > passed

    def _stamp(self, data: bytes, begin: int) -> bytes:
        start = begin + HEADER.size
        return data[start : start + self._width]
