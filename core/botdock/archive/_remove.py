"""Removes a folder whatever a bot made of it: read-only, unreadable, or nested deeper than a path can be long."""

from __future__ import annotations

import errno
import itertools
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}


def remove_tree(path: Path, *, timeout: float) -> None:
    """Remove a folder and all in it, following no link; nothing happens when it is not there.

    Each folder is moved up to the top before it is emptied, so that two open folders are enough for any depth.

    Args:
        path: The folder.
        timeout: Seconds after which it gives up.

    Raises:
        OSError: Something could not be removed.
        TimeoutError: It took too long.
    """
    try:
        top = _open(str(path))
    except FileNotFoundError:
        return
    try:
        deadline = time.monotonic() + timeout
        new_names = (f".removing-{os.getpid()}-{number}" for number in itertools.count())
        pending = list(_move_folders_up(top, top, new_names, deadline))
        while pending:
            name = pending.pop()
            folder = _open(name, top)
            try:
                pending.extend(_move_folders_up(folder, top, new_names, deadline))
            finally:
                os.close(folder)
            try:
                os.rmdir(name, dir_fd=top)
            except OSError as error:
                if error.errno not in _NOT_EMPTY:
                    raise
                pending.append(name)  # another process is still writing into it
    finally:
        os.close(top)
    path.rmdir()


def _move_folders_up(folder: int, top: int, new_names: Iterator[str], deadline: float) -> Iterator[str]:
    """Remove the files of a folder, move its folders to the top, and give the names they have there."""
    with os.scandir(folder) as found:
        names = [item.name for item in found]
    for name in names:
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "removing it takes too long")
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            with suppress(OSError):  # it is not empty
                os.rmdir(name, dir_fd=folder)
                continue
            os.close(_open(name, folder))  # makes it writable, without which it cannot be moved
            new_name = next(new_names)
            os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=top)
            yield new_name


def _open(name: str, parent: int | None = None) -> int:
    """Open a folder that is not a link, after giving ourselves the right to empty it."""
    handle = os.open(name, _HANDLE, dir_fd=parent)
    try:
        with suppress(OSError):  # not ours: then it is writable for us already, or stays
            Path(f"/proc/self/fd/{handle}").chmod(0o700)  # of the folder itself, which no link can replace
        return os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)
