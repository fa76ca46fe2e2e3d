"""A new folder that is seen when it is complete, and not before."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from botdock.archive._entry import FOLDER_MODE, PREFIX, SUFFIX, Chunks
from botdock.archive._refusal import refusal
from botdock.errors import ArchiveError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class Destination:
    """A folder under way: a hidden one beside it, renamed once at the end, and removed if that never comes.

    Paths are relative to the folder's descriptor, and a link is made only after everything else, so that nothing can be
    written through one. Modes are set past the umask; nothing is synced to the disk.
    """

    def __init__(self, path: Path) -> None:
        """Begin.

        Raises:
            ArchiveError: `destination`: there is something already.
        """
        if os.path.lexists(path):
            raise _taken()
        self._path = path
        self._hidden = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=path.parent))
        try:
            self._root = os.open(self._hidden, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            self._hidden.rmdir()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not committed."""
        os.close(self._root)
        shutil.rmtree(self._hidden, ignore_errors=True)

    def folder(self, path: str) -> None:
        """Make a folder; its parent is there."""
        os.mkdir(path, dir_fd=self._root)
        os.chmod(path, FOLDER_MODE, dir_fd=self._root)

    def file(self, path: str, content: Chunks, mode: int) -> None:
        """Write a file; its folder is there."""
        descriptor = os.open(path, _CREATE, 0o600, dir_fd=self._root)
        try:
            os.fchmod(descriptor, mode)
            for chunk in content:
                _write(descriptor, chunk)
        finally:
            os.close(descriptor)

    def hard_link(self, path: str, target: str) -> None:
        """Give a file that is there a second name."""
        os.link(target, path, src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False)

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, path, dir_fd=self._root)

    def commit(self) -> None:
        """Make it visible.

        Raises:
            ArchiveError: `destination`: something came into being there meanwhile.
        """
        os.fchmod(self._root, FOLDER_MODE)
        try:
            self._hidden.rename(self._path)
        except OSError as error:
            if error.errno in _TAKEN:
                raise _taken() from error
            raise


def _write(descriptor: int, chunk: bytes | memoryview) -> None:
    written = os.write(descriptor, chunk)
    while written < len(chunk):  # a short write is how a disk says that it is nearly full; the next one says that it is
        written += os.write(descriptor, chunk[written:])


def _taken() -> ArchiveError:
    hint = "Choose a folder that does not exist yet."
    return refusal("cannot be unpacked: its destination exists already", limit="destination", hint=hint)
