"""Cuts a stream into parts, and holds it to the size that was announced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.errors import StorageError

if TYPE_CHECKING:
    from botdock.model import ByteReader

MOST_PARTS = 10_000
"""Parts that an object may have: S3's bound."""


class Parts:
    """The parts of a stream, one in memory at a time; what the source raises goes through.

    The first one is read at once, and says whether it is the only one.

    Args:
        source: Read to its end.
        size: Bytes that were announced; None where nobody knows.
        part_size: Bytes of every part but the last.
        key: The object, for messages.
        backend: Where it will lie, for messages.

    Attributes:
        size: Bytes that were read.
        ended: Whether nothing follows those.

    Raises:
        StorageError: More or less came than was announced, or more than an object can hold.
    """

    def __init__(self, source: ByteReader, *, size: int | None, part_size: int, key: str, backend: str) -> None:
        self.size = 0
        self.ended = False
        self._source = source
        self._announced = size
        self._part_size = part_size
        self._key = key
        self._backend = backend
        if size is not None:
            self._check_bound(size)
        self._held: bytes | bytearray | None = self._read()

    def take(self) -> bytes | bytearray:
        """Return the next part; an empty one after the last.

        Raises:
            StorageError: As above.
        """
        held, self._held = self._held, None
        if held is None:
            return b"" if self.ended else self._read()
        return held

    def _read(self) -> bytes | bytearray:
        data = self._fill()
        self.size += len(data)
        self._check_bound(self.size)
        if len(data) < self._part_size or self.size == self._announced:
            self.ended = True
        self._check_announced()
        return data

    def _fill(self) -> bytes | bytearray:
        piece = self._source.read(self._part_size)
        if len(piece) == self._part_size:
            return piece
        data = bytearray()
        while piece:
            data += piece
            piece = self._source.read(self._part_size - len(data)) if len(data) < self._part_size else b""
        return data

    def _check_announced(self) -> None:
        if self._announced is None:
            return
        more = self.size > self._announced or (self.size == self._announced and bool(self._source.read(1)))
        if more or (self.ended and self.size != self._announced):
            came = "more" if more else str(self.size)
            raise self._error(f"{self._announced} bytes were announced, {came} came")

    def _check_bound(self, size: int) -> None:
        if size > self._part_size * MOST_PARTS:
            least = -(-size // MOST_PARTS)
            raise self._error(
                f"an object of {MOST_PARTS} parts of {self._part_size} bytes is the largest there can be",
                f"Set minio.part_size to {least} or more; minio.parallel_parts + 1 of them are held in memory.",
            )

    def _error(self, problem: str, hint: str | None = None) -> StorageError:
        return StorageError(f"{self._key!r}: {problem}", key=self._key, backend=self._backend, hint=hint)
