"""Folders as a tar that the daemon unpacks, and the one file of a tar that it answers with. Both in bounded memory."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 256 * 1024
"""Bytes of a file that are read at once."""
_BLOCK = tarfile.BLOCKSIZE
_ENCODING, _ERRORS = "utf-8", "surrogateescape"
_CLOSED_MODE = 0o700
_TYPES = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
_EXTENSIONS = frozenset({tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE})
_LONGEST_EXTENSION = 64 * 1024


def closed_folder(name: str) -> bytes:
    """Return the header of a folder that only root may enter."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, _CLOSED_MODE
    return _header(info)


def tree(path: str, name: str, *, owner: int = 0) -> Iterator[bytes]:
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
            yield from tree(str(entry), f"{name}/{entry.name}", owner=owner)


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
            piece = os.read(descriptor, min(PIECE, left))
            if not piece:
                raise OSError(errno.EIO, "it became shorter while it was read", path)
            left -= len(piece)
            yield piece
        yield bytes(-info.size % _BLOCK)
    finally:
        os.close(descriptor)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, _ENCODING, _ERRORS)


def read_file(receive: Callable[[], bytes], limit: int) -> bytes:
    """Return the bytes of the one file of a tar, at most `limit + 1` of them, and read no further.

    Args:
        receive: Returns what has come, empty only at the end.
        limit: Bytes.

    Raises:
        OSError: What comes first is not a regular file.
        tarfile.TarError: It is not a tar, or it is cut off.
    """
    source = _Source(receive)
    while True:
        info = tarfile.TarInfo.frombuf(source.take(_BLOCK), _ENCODING, _ERRORS)
        if info.type not in _EXTENSIONS:
            break
        if info.size > _LONGEST_EXTENSION:
            raise tarfile.HeaderError("an extension that is too long")
        source.take(info.size + -info.size % _BLOCK)
    if not info.isreg():
        raise OSError(errno.EINVAL, "not a regular file", info.name)
    return source.take(min(info.size, limit + 1))


class _Source:
    """Takes so many bytes at a time of what comes."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._rest = b""

    def take(self, size: int) -> bytes:
        parts, left = [self._rest], size - len(self._rest)
        while left > 0:
            if not (piece := self._receive()):
                raise tarfile.ReadError("the tar is cut off")
            parts.append(piece)
            left -= len(piece)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]
