"""The files of one area, by the keys of the objects that they are, and the drafts that become such files."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from botdock.errors import StorageError, nearest
from botdock_storage_local_fs._folders import BlockedError, refuse_alias, sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdock_storage_local_fs._folders import Folders

DRAFTS = ".drafts"
"""Folder of the root, on the same file system as the areas beside it; no area is called so."""
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS = 100
"""How often a folder is made anew that a delete keeps removing; each takes losing a race of microseconds."""
_LOOKED_AT = 1000
"""Names of a folder that are compared with a key that does not exist."""


@attrs.frozen(kw_only=True)
class Draft:
    """A file that is not an object yet.

    Attributes:
        folder: Descriptor of the folder of drafts.
        name: Its name there.
        file: Its descriptor.
    """

    folder: int
    name: str
    file: int

    def write(self, data: bytes) -> None:
        """Append `data`, all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.file, rest) :]

    def sync(self) -> None:
        """Bring it to the disk, with a time that is finer than the kernel's tick: two versions then differ in it."""
        now = time.time_ns()
        os.utime(self.file, ns=(now, now))
        os.fsync(self.file)


class Files:
    """Opens, places and removes files by key; raises FileNotFoundError or BlockedError where none is an object."""

    def __init__(self, folders: Folders, area: str) -> None:
        self._folders = folders
        self._area = area
        self._placing = threading.Lock()

    def look(self, key: str) -> os.stat_result:
        """Return the status of a file."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            return self._regular(folder, name)

    def open(self, key: str) -> tuple[int, int]:
        """Return a descriptor of a file, and its size in bytes."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            found = self._regular(folder, name)
            return os.open(name, _READ, dir_fd=folder), found.st_size

    def remove(self, key: str) -> None:
        """Remove a file, and the folders that are empty without it."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            self._regular(folder, name)
            os.unlink(name, dir_fd=folder)
        self._prune(folders)

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """Give a new draft; it is removed in the end unless it was placed."""
        with self._folders.open((DRAFTS,), make=True) as folder:
            name, file = _create(folder)
            try:
                yield Draft(folder=folder, name=name, file=file)
            finally:
                os.close(file)
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    def sweep(self) -> None:
        """Remove the drafts of processes that died: those that are not locked."""
        with suppress(FileNotFoundError), self._folders.open((DRAFTS,)) as folder:
            with os.scandir(folder) as found:
                names = [entry.name for entry in found]
            for name in names:
                with suppress(OSError):
                    _remove_unlocked(folder, name)

    def place(self, draft: Draft, key: str) -> os.stat_result:
        """Give a draft its key, replacing a file that has it; make the folders above it."""
        folders, name = self._split(key)
        try:
            for _ in range(_ATTEMPTS):
                with suppress(FileNotFoundError):  # a delete removed the folder while it was empty
                    return self._place(draft, folders, name)
        except BaseException:
            self._prune(folders)
            raise
        raise StorageError(f"cannot write {key!r} in {self._folders.backend}: its folder keeps vanishing")

    def near(self, key: str) -> list[str]:
        """Return keys beside `key` that may have been meant."""
        folders, name = self._split(key)
        try:
            with self._folders.open(folders) as folder, os.scandir(folder) as found:
                names = [entry.name for entry, _ in zip(found, range(_LOOKED_AT), strict=False)]
        except (OSError, BlockedError, StorageError):
            return []
        return ["/".join([*folders[1:], other]) for other in nearest(name, names)]

    def _split(self, key: str) -> tuple[list[str], str]:
        *folders, name = key.split("/")
        return [self._area, *folders], name

    def _regular(self, folder: int, name: str) -> os.stat_result:
        found = self._folders.refuse_link(folder, name)
        if stat.S_ISDIR(found.st_mode):
            raise BlockedError(f"{name!r} is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{name!r} in {self._folders.backend} is not a regular file")
        refuse_alias(folder, name)
        return found

    def _place(self, draft: Draft, folders: Sequence[str], name: str) -> os.stat_result:
        with self._folders.open(folders, make=True) as folder:
            with self._placing:
                self._clear(folder, name)
                os.rename(draft.name, name, src_dir_fd=draft.folder, dst_dir_fd=folder)
            sync(folder)
        return os.fstat(draft.file)

    def _clear(self, folder: int, name: str) -> None:
        """Make sure that a file can take the name; an empty folder that has it is removed."""
        try:
            self._regular(folder, name)
        except FileNotFoundError:
            return
        except BlockedError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise
            try:
                os.rmdir(name, dir_fd=folder)
            except FileNotFoundError:
                return
            except OSError:
                raise BlockedError(f"a folder of the name {name!r} is in the way") from None

    def _prune(self, folders: Sequence[str]) -> None:
        for depth in range(len(folders) - 1, 0, -1):
            try:
                with self._folders.open(folders[:depth]) as folder:
                    os.rmdir(folders[depth], dir_fd=folder)
            except (OSError, BlockedError, StorageError):
                return


def _create(folder: int) -> tuple[str, int]:
    while True:
        name = secrets.token_hex(16)
        file = os.open(name, _NEW, 0o666, dir_fd=folder)
        _lock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return name, file
        os.close(file)  # another process swept it between its creation and its lock


def _lock(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how)
    except OSError:  # its writer holds it; or a file system without locks, where no draft is ever swept
        return False
    return True


def _remove_unlocked(folder: int, name: str) -> None:
    file = os.open(name, _READ, dir_fd=folder)
    try:
        if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(file)
