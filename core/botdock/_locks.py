"""Locks between threads and processes: on files and folders, which the holder of the lock may remove.

They are `flock`s, so the kernel lets go of them when their process dies, in whatever way. Each acquisition opens the
file anew, so that two threads of one process exclude each other as two processes do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SHORTEST, _LONGEST = 0.005, 0.1
"""Seconds between two attempts; a waiting `flock` itself could not be given a bound."""


@contextmanager
def locked(path: Path, *, timeout: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be; its folder is there.

    Raises:
        TimeoutError: Another holder kept it for `timeout` seconds.
        OSError: The file system has no locks, or takes no file.
    """
    how, deadline, pause = fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + timeout, _SHORTEST
    while (descriptor := _attempt(path, how, _FILE)) is None:
        if time.monotonic() >= deadline:
            raise TimeoutError(errno.ETIMEDOUT, f"another process has been busy with it for {timeout:g} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_at_once(path: Path) -> Iterator[bool]:
    """Hold the lock of a file if no other holder does; say whether it is held."""
    descriptor = _attempt(path, fcntl.LOCK_EX, _FILE)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def lock_folder(path: Path) -> int | None:
    """Return a descriptor that holds the lock of a folder, or None when another holder has it, or it is gone."""
    try:
        return _attempt(path, fcntl.LOCK_EX, _FOLDER)
    except FileNotFoundError:
        return None


def _attempt(path: Path, how: int, flags: int) -> int | None:
    descriptor = os.open(path, flags, 0o600)
    held = False
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        held = os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):  # who held it before may have removed it, or put another in its place
        return None
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None
