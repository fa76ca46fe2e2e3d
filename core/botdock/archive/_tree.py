"""A folder as a tar that another program unpacks: as it is, in bounded memory. What it is called there is given.

Unlike `pack`, it judges nothing and leaves nothing out: it is for trees that botdock has made.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 256 * 1024
"""Bytes of a file that are read at once."""
_BLOCK = tarfile.BLOCKSIZE
_TYPES = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}


def tree_as_tar(path: str, name: str, *, owner: int = 0) -> Iterator[bytes]:
    """Yield a file, or a folder with all below it, under another name: modes, links, times in seconds, any names.

    GNU's form of a tar is taken: its names are bytes, where those of pax are text. Of a file with several hard links
    each name gets its own copy.

    Args:
        path: On this machine; a symbolic link is taken as such.
        name: In the tar.
        owner: User and group id of what is written.

    Raises:
        OSError: Something cannot be read, changes meanwhile, or is a device, a pipe or a socket.
    """
    info = _info(os.lstat(path), path, name, owner)
    if info.isreg():
        yield from _file(path, name, owner)
        return
    if info.issym():
        info.linkname = str(Path(path).readlink())
    yield _header(info)
    if info.isdir():
        for entry in sorted(Path(path).iterdir()):
            yield from tree_as_tar(str(entry), f"{name}/{entry.name}", owner=owner)


def end_of_tar() -> bytes:
    """Return what a tar ends with."""
    return bytes(2 * _BLOCK)


def _info(found: os.stat_result, path: str, name: str, owner: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    kind = _TYPES.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        raise OSError(errno.EINVAL, "neither a file, a folder nor a symbolic link", path)
    info.type, info.mode, info.mtime = kind, stat.S_IMODE(found.st_mode), max(0, int(found.st_mtime))
    info.uid = info.gid = owner
    return info


def _file(path: str, name: str, owner: int) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        info = _info(found, path, name, owner)
        left = info.size = found.st_size
        yield _header(info)
        while left:
            piece = os.read(descriptor, min(_PIECE, left))
            if not piece:
                raise OSError(errno.EIO, "it became shorter while it was read", path)
            left -= len(piece)
            yield piece
        yield bytes(-info.size % _BLOCK)
    finally:
        os.close(descriptor)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
