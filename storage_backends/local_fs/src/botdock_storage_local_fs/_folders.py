"""Opens folders below a root one component at a time, so that no link leads anywhere else."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from botdock.errors import BotdockError, StorageError, StorageKeyError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_AWAY = {errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV, errno.ENXIO}
"""Errors of network file systems and unplugged disks; they may pass."""
_FULL = 'Free some space, or move the storage: [options.local-fs] root = "..."'
_REFUSED = 'Let this user write there, or move the storage: [options.local-fs] root = "..."'
_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: _REFUSED,
    errno.EXDEV: "All folders of the root must be on one file system, so that an object appears in one step.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n",
}


class BlockedError(Exception):
    """Something else has the name: a file where a folder must be, or the same name in another case."""


@contextmanager
def failures(doing: str, *, key: str, backend: str) -> Iterator[None]:
    """Raise a botdock error that names the key, the storage and the remedy in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise _translated(error, doing, key, backend) from error


def _translated(error: OSError, doing: str, key: str, backend: str) -> BotdockError:
    if error.errno == errno.ENAMETOOLONG:
        return StorageKeyError(key, "holds a name that is too long for this file system")
    kind = StorageUnavailableError if error.errno in _AWAY else StorageError
    hint = _HINTS.get(error.errno or 0)
    return kind(f"cannot {doing} {key!r} in {backend}: {error.strerror or error}", key=key, backend=backend, hint=hint)


class Folders:
    """The folders below `root`; the first of their names is that of an area, and the others are those of a key.

    Attributes:
        root: The folder they are below; it may itself be a link, which the operator chose.
        backend: How messages call the storage.
    """

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self.backend = backend

    @contextmanager
    def open(self, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open a folder, and with `make` create what of it is missing; give its descriptor.

        Raises:
            FileNotFoundError: The folder does not exist.
            BlockedError: A component is not a folder.
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
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
                sync(folder)
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
        """Return the status of an entry that is not a link.

        Raises:
            FileNotFoundError: The entry does not exist.
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


def sync(folder: int) -> None:
    """Bring the names of a folder to the disk, where its file system can."""
    with suppress(OSError):
        os.fsync(folder)


def refuse_alias(folder: int, name: str) -> None:
    """Make sure that an existing entry really has this name, where the file system ignores case.

    A file system that ignores case (or the form of accents) gives the same entry for other spellings of its name; the
    folder is read only when it does.

    Raises:
        BlockedError: Naming the spelling that exists.
    """
    if not _has_alias(folder, name):
        return
    with os.scandir(folder) as found:
        names = {entry.name for entry in found}
    there = next((other for other in names if _folded(other) == _folded(name)), None)
    if name in names or (there is None and not _has_alias(folder, name)):  # or it was deleted meanwhile
        return
    shown = there or "another name"
    raise BlockedError(f"differs from {shown!r} only in case, which this file system does not tell apart")


def _has_alias(folder: int, name: str) -> bool:
    spellings = {name.swapcase(), unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)}
    return any(_same(folder, name, other) for other in spellings - {name})


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", name.casefold())


def _same(folder: int, name: str, other: str) -> bool:
    try:
        first, second = (os.stat(entry, dir_fd=folder, follow_symlinks=False) for entry in (name, other))
    except OSError:
        return False
    return os.path.samestat(first, second)
