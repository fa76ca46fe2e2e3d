"""The folder that outlives a test run, and locks that keep concurrent runs apart."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "BOTDOCK_TEST_CACHE"


def cache_dir() -> Path:
    """Return the cache folder: BOTDOCK_TEST_CACHE, else one in the user's own cache folder."""
    named = os.environ.get(VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named).absolute() if named else base / "botdock-testbed"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, waiting for its holder; the kernel frees it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built(name: str, build: Callable[[Path], Path]) -> Path:
    """Return a folder of the cache, which is built where it is not there, by one process at a time.

    Args:
        name: Its name in the cache.
        build: Given an empty folder to work in, returns the one in it that is to be kept.
    """
    folder, work = cache_dir() / name, cache_dir() / f"build-{name}"
    with locked(cache_dir() / f"{name}.lock"):
        if not folder.is_dir():
            shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
            work.mkdir()
            try:
                build(work).rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return folder


class Slot:
    """A numbered folder of the cache that one test session has to itself, so that sessions never share a daemon."""

    def __init__(self, kind: str) -> None:
        number = 0
        while not self._take(cache_dir() / f"{kind}-{number}"):
            number += 1

    def _take(self, path: Path) -> bool:
        path.mkdir(exist_ok=True)
        self.path = path
        self._lock = (path / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            return False
        return True

    def free(self) -> None:
        """Let another session have it."""
        self._lock.close()
