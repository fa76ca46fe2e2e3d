"""The packed bytes: of a file, or of any reader."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from botdock.archive._entry import CHUNK, ReaderFailedError, refusal
from botdock.archive._formats import HEAD, ArchiveFormat, recognise
from botdock.model.storage import ByteReader

_T = TypeVar("_T")


class ArchiveSource:
    """An archive's bytes, counted as they are read.

    Attributes:
        size: Bytes in all; 0 where that is not known.
        consumed: Bytes read so far.
    """

    def __init__(self, reader: ByteReader, *, own: bool = False) -> None:
        self._reader = reader
        self._own = own
        self._start, self.size = self._call(_extent, reader)
        self.consumed = 0
        self._head = self._peek()

    def format(self) -> ArchiveFormat:
        """Return what the first bytes say it is."""
        return recognise(self._head[:HEAD])

    def read(self) -> bytes:
        """Return the next bytes, and empty bytes at the end."""
        if self._head:
            chunk, self._head = self._head, b""
            return chunk
        chunk = self._call(self._reader.read, CHUNK)
        self.consumed += len(chunk)
        return chunk

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, fewer at the end; only once the source is `seekable`."""
        self._call(cast("BinaryIO", self._reader).seek, self._start + offset)
        data = self._call(self._reader.read, count)
        while len(data) < count and (more := self._call(self._reader.read, count - len(data))):
            data += more
        return data

    def packed(self) -> int:
        """Return the packed bytes that the unpacked ones are compared with: all of them, where that is known."""
        return max(self.size, self.consumed)

    def rewind(self) -> None:
        """Go back to where the reader stood, if it can."""
        if self._start >= 0:
            self._call(cast("BinaryIO", self._reader).seek, self._start)

    @contextmanager
    def seekable(self, place: Path, most: int) -> Iterator[None]:
        """Make `at` work: what cannot be sought in is first written to an unnamed file.

        Args:
            place: Folder for that file.
            most: Bytes it may take.

        Raises:
            ArchiveError: `total_bytes`: there are more.
        """
        if self._start >= 0:
            yield
            return
        with tempfile.TemporaryFile(dir=place) as file:
            while chunk := self.read():
                if self.consumed > most:
                    raise refusal("is larger than what may come out of it", limit=f"total_bytes={most}")
                file.write(chunk)
            self._reader, self._own, self._start, self.size = file, True, 0, self.consumed
            yield

    def _peek(self) -> bytes:
        head = b""
        while len(head) < HEAD and (chunk := self._call(self._reader.read, CHUNK)):
            head += chunk
        self.consumed = len(head)
        return head

    def _call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        try:
            return function(*arguments)
        except Exception as error:
            if self._own:
                raise refusal(f"cannot be read: {error}", limit="source") from error
            raise ReaderFailedError(error) from error


def _extent(reader: ByteReader) -> tuple[int, int]:
    """Return where a reader stands and how much lies ahead; -1 and 0 for one that cannot seek."""
    if not (isinstance(reader, io.IOBase) and reader.seekable()):
        return -1, 0
    start = reader.tell()
    size = reader.seek(0, io.SEEK_END) - start
    reader.seek(start)
    return start, size


@contextmanager
def open_source(source: Path | ByteReader) -> Iterator[ArchiveSource]:
    """Open an archive; a reader is taken as it is, and not closed.

    Raises:
        ArchiveError: `source`: no such file is there, or it cannot be read.
    """
    if not isinstance(source, Path):
        yield ArchiveSource(source)
        return
    if source.exists() and not source.is_file():
        hint = "A folder is taken with copy_tree." if source.is_dir() else None
        raise refusal("is not a file", limit="source", hint=hint)
    try:
        file = source.open("rb", buffering=CHUNK)
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}", limit="source") from error
    with file:
        yield ArchiveSource(file, own=True)
