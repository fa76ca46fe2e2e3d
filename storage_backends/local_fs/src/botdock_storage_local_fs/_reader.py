"""The bytes of an object on their way out."""

from __future__ import annotations

import os
from typing import Self

from botdock_storage_local_fs._failures import failures


class FileReader:
    """Reads a part of an open file, and closes it.

    A file that is replaced meanwhile is read to its end all the same: the descriptor keeps the old one.
    """

    def __init__(self, file: int, *, offset: int, length: int | None, key: str, backend: str) -> None:
        self._file = os.fdopen(file, "rb", buffering=0)
        self._key = key
        self._backend = backend
        self._left = length
        with failures("read", key=key, backend=backend):
            self._file.seek(offset)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; all that is left for a negative one; empty bytes at the end."""
        wanted = size if self._left is None else self._left if size < 0 else min(size, self._left)
        with failures("read", key=self._key, backend=self._backend):
            data = self._read(wanted)
        if self._left is not None:
            self._left -= len(data)
        return data

    def _read(self, wanted: int) -> bytes:
        pieces = []
        while wanted and (piece := self._file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
