"""Files that become objects by one rename, or vanish."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_local_fs._folders import Folders

DRAFTS = ".drafts"
"""Folder of the root, on the same file system as the areas beside it; no area is called so."""
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@attrs.frozen(kw_only=True)
class Draft:
    """A file that nobody sees as an object yet.

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


@contextmanager
def open_draft(folders: Folders) -> Iterator[Draft]:
    """Give a new draft; what was not renamed in the end is removed."""
    with folders.open((DRAFTS,), make=True) as folder:
        name, file = _create(folder)
        try:
            yield Draft(folder=folder, name=name, file=file)
        finally:
            os.close(file)
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)


def _create(folder: int) -> tuple[str, int]:
    while True:
        name = secrets.token_hex(16)
        file = os.open(name, _NEW, 0o666, dir_fd=folder)
        _lock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return name, file
        os.close(file)  # a sweep came between the two lines above


def _lock(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how)
    except OSError:  # held by its writer; or a file system without locks, where no draft is ever swept
        return False
    return True


def sweep(folders: Folders) -> None:
    """Remove the drafts of writers that died: those that nobody holds a lock on."""
    with suppress(FileNotFoundError), folders.open((DRAFTS,)) as folder:
        with os.scandir(folder) as found:
            names = [item.name for item in found]
        for name in names:
            with suppress(OSError):
                _remove_if_abandoned(folder, name)


def _remove_if_abandoned(folder: int, name: str) -> None:
    file = os.open(name, _EXISTING, dir_fd=folder)
    try:
        if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(file)
