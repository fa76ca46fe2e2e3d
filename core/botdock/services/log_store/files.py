"""Opening a file of a log, whether it has been compressed meanwhile or not."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from botdock.services.log_store.layout import compressed_name

if TYPE_CHECKING:
    Inflater = zlib._Decompress  # noqa: SLF001 - what `zlib.decompressobj` returns has no other name

PIECE = 1024 * 1024
UNREADABLE = (ValueError, EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a damaged file raises, beside an `OSError`."""
_MARKS = 64
_PACKED_PIECE = 64 * 1024


def open_data(directory: Path, name: str) -> BinaryIO:
    """Open a file of a log to read its content from the beginning; one that is compressed is unpacked on the way.

    What was not asked for is not read ahead: behind the last record, it may change.

    Raises:
        FileNotFoundError: Retention has removed it.
        OSError: It cannot be read.
    """
    try:
        return cast("BinaryIO", (directory / name).open("rb", buffering=0))
    except FileNotFoundError:
        return cast("BinaryIO", gzip.open(directory / compressed_name(name), "rb"))


def pieces(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, or all that is left of it, in pieces; fewer where it ends before."""
    while size is None or size > 0:
        piece = file.read(PIECE if size is None else min(size, PIECE))
        if not piece:
            return
        size = None if size is None else size - len(piece)
        yield piece


class AnywhereFile:
    """A file of a log that is read at any place.

    Of a compressed one, the unpacker is remembered at some places, and what was unpacked last, so that reading it
    backwards or in small pieces does not unpack all of it again for each.

    Raises:
        FileNotFoundError: Retention has removed it.
        OSError: It cannot be read.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._inflaters: list[tuple[int, int, Inflater]] = []
        try:
            self._file = (directory / name).open("rb", buffering=0)
        except FileNotFoundError:
            self._file = (directory / compressed_name(name)).open("rb", buffering=0)
            self._inflaters = [(0, 0, zlib.decompressobj(zlib.MAX_WBITS | 16))]
        self._apart = PIECE
        self._windows: dict[int, bytes] = {}

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the `size` bytes at a place; fewer where the file ends before.

        Raises:
            OSError: It cannot be read.
            ValueError: It is compressed, and damaged.
        """
        if not self._inflaters:
            return os.pread(self._file.fileno(), size, offset)
        begin = offset // PIECE
        windows = b"".join(map(self._window, range(begin, (offset + size - 1) // PIECE + 1)))
        return windows[offset - begin * PIECE : offset - begin * PIECE + size]

    def size(self) -> int:
        """Return how long it is now; raises as `read_at` does."""
        if not self._inflaters:
            return os.fstat(self._file.fileno()).st_size
        size = 0
        while piece := self.read_at(size, PIECE):
            size += len(piece)
        return size

    def _window(self, number: int) -> bytes:
        """Return the so-many-th piece of a compressed file; the last two are kept."""
        if number not in self._windows:
            try:
                found = b"".join(self._unpacked(number * PIECE, PIECE))
            except zlib.error as error:
                raise ValueError(f"it cannot be unpacked: {error}") from error
            while len(self._windows) > 1:
                del self._windows[next(iter(self._windows))]
            self._windows[number] = found
        return self._windows[number]

    def _unpacked(self, offset: int, size: int) -> Iterator[bytes]:
        place, at, known = next(mark for mark in reversed(self._inflaters) if mark[0] <= offset)
        inflater = known.copy()
        while place < offset + size and not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed:
                packed = os.pread(self._file.fileno(), _PACKED_PIECE, at)
                at += len(packed)
            piece = inflater.decompress(packed, _PACKED_PIECE)
            if not piece and not packed:
                return
            yield piece[max(offset - place, 0) : offset + size - place]
            place += len(piece)
            self._remember(place, at, inflater)

    def _remember(self, place: int, at: int, inflater: Inflater) -> None:
        if place < self._inflaters[-1][0] + self._apart:
            return
        self._inflaters.append((place, at, inflater.copy()))
        if len(self._inflaters) > _MARKS:
            self._inflaters, self._apart = self._inflaters[::2], self._apart * 2

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
