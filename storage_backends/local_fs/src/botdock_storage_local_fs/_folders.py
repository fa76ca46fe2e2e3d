"""Opens folders below a root one component at a time, so that no link leads anywhere else."""

from __future__ import annotations

import os
import stat
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from botdock.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class BlockedError(Exception):
    """Something else has the name: a file where a folder must be, or the same name in another case."""


class Folders:
    """The folders below `root`; the first of their names is that of an area, and the others are those of a key.

    Attributes:
        root: The folder they are below; it may be a link itself, since whoever named it may decide that.
        backend: How messages call the storage.
    """

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self.backend = backend

    @contextmanager
    def open(self, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open a folder, and with `make` create what of it is missing; give its descriptor.

        Raises:
            FileNotFoundError: It is not there.
            BlockedError: A component is no folder.
            StorageError: A component is a link.
        """
        if make:
            for path in reversed([path for path in (self.root, *self.root.parents) if not path.exists()]):
                path.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave the mode of parents to the umask
        folder = os.open(self.root, _FOLDER)
        try:
            for depth in range(len(names)):
                child = self._child(folder, names[: depth + 1], make=make)
                os.close(folder)
                folder = child
            yield folder
        finally:
            os.close(folder)

    def _child(self, folder: int, path: Sequence[str], *, make: bool) -> int:
        name = path[-1]
        if make:
            _make(folder, name)
        try:
            child = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except NotADirectoryError:
            self.refuse_link(folder, name)
            raise BlockedError(f"the object {'/'.join(path[1:])!r} is in the way: nothing can be below it") from None
        try:
            refuse_alias(folder, name)
        except BlockedError:
            os.close(child)
            raise
        return child

    def refuse_link(self, folder: int, name: str) -> os.stat_result:
        """Return what is known of an entry that is no link.

        Raises:
            FileNotFoundError: It is not there.
            StorageError: It is a link.
        """
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise StorageError(
                f"{name!r} in {self.backend} is a link, and no link is followed inside a storage",
                backend=self.backend,
                hint="Put the file or the folder itself there.",
            )
        return found


def _make(folder: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
        sync(folder)


def sync(folder: int) -> None:
    """Bring the names of a folder to the disk, where its file system can."""
    with suppress(OSError):
        os.fsync(folder)


def refuse_alias(folder: int, name: str) -> None:
    """Make sure that an existing entry really has this name, where the file system ignores case.

    A file system that ignores case (or the form of accents) gives the same entry for other spellings of its name; the
    folder is read only when it does.

    Raises:
        BlockedError: Naming the spelling that is there.
    """
    if not _has_alias(folder, name):
        return
    with os.scandir(folder) as found:
        names = {item.name for item in found}
    there = next((other for other in names if _folded(other) == _folded(name)), None)
    if name in names or (there is None and not _has_alias(folder, name)):  # or it was deleted meanwhile
        return
    shown = there or "another name"
    raise BlockedError(f"differs from {shown!r} only in case, which this file system does not tell apart")


def _has_alias(folder: int, name: str) -> bool:
    return any(_same(folder, name, other) for other in _spellings(name))


def _spellings(name: str) -> set[str]:
    return {name.swapcase(), unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)} - {name}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", name.casefold())


def _same(folder: int, name: str, other: str) -> bool:
    try:
        first, second = (os.stat(entry, dir_fd=folder, follow_symlinks=False) for entry in (name, other))
    except OSError:
        return False
    return os.path.samestat(first, second)
