"""Bytes in order, taken in whatever sizes are needed."""

from __future__ import annotations

from collections.abc import Iterator

from botdock.archive._refusal import refusal


class ByteStream:
    """Cuts what an iterator yields anew, mostly without copying it.

    Attributes:
        name: What is being read, for the message when the bytes end too early.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.name: str | None = None
        self._pieces = pieces
        self._piece = memoryview(b"")

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes, all in memory.

        Raises:
            ArchiveError: `truncated`.
        """
        if len(self._piece) >= count:
            found, self._piece = self._piece[:count], self._piece[count:]
            return bytes(found)
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield the next `count` bytes in pieces.

        Raises:
            ArchiveError: `truncated`.
        """
        while count:
            if not self._piece and not self._advance():
                raise refusal("ends in the middle", limit="truncated", entry=self.name)
            found, self._piece = self._piece[:count], self._piece[count:]
            count -= len(found)
            yield found

    def rest(self) -> Iterator[memoryview]:
        """Yield what is left, to the end."""
        yield self._piece
        while self._advance():
            yield self._piece

    def _advance(self) -> bool:
        self._piece = memoryview(next(self._pieces, b""))
        return bool(self._piece)
