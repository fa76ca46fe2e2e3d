"""How the code of a run comes into a container that waits."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
"""What file systems say that cannot give a file a second name."""


def deliver(tree: Path, target: Path, *, entries: int, size: int) -> bool:
    """Let a folder hold what a tree holds, as links to its files, or copies of those that cannot have another name.

    Args:
        tree: The tree.
        target: The folder, which is empty.
        entries: Files and folders that it may have.
        size: Bytes that may be copied.

    Returns:
        Whether it is within the bounds; where not, the folder holds a part of it.

    Raises:
        OSError: The disk took it not.
    """
    pending = [(str(tree), str(target))]
    while pending:
        source, destination = pending.pop()
        for entry in _entries(source):
            entries -= 1
            if entries < 0:
                return False
            place = f"{destination}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)  # noqa: PTH115, PTH211 - strings, as many as there are
            elif entry.is_dir():
                os.mkdir(place)  # noqa: PTH102 - the same
                os.chmod(place, stat.S_IMODE(entry.stat().st_mode))  # noqa: PTH101 - the same
                pending.append((entry.path, place))
            else:
                size -= _second_name(entry, place, size)
                if size < 0:
                    return False
    return True


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _second_name(entry: os.DirEntry[str], place: str, room: int) -> int:
    """Give a file a second name, or copy it; return the bytes that were copied, or would be without room."""
    try:
        os.link(entry.path, place, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        bytes_of = entry.stat().st_size
        if bytes_of <= room:
            shutil.copy2(entry.path, place, follow_symlinks=False)
        return bytes_of
    return 0
