"""The closed folder that a tar for the daemon begins with, and the one file of a tar that it answers with."""

from __future__ import annotations

import errno
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = tarfile.BLOCKSIZE
_ENCODING, _ERRORS = "utf-8", "surrogateescape"
_CLOSED_MODE = 0o700
_EXTENSIONS = frozenset({tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE})
_LONGEST_EXTENSION = 64 * 1024


def closed_folder(name: str) -> bytes:
    """Return the header of a folder that only root may enter."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, _CLOSED_MODE
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
