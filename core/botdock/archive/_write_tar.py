"""Entries into a tar archive, in the pax format, which holds any name and size."""

from __future__ import annotations

import bz2
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from botdock.archive._admit import Admitted
from botdock.archive._entry import Entry, Kind
from botdock.archive._formats import ArchiveFormat
from botdock.archive._tar_header import BLOCK

_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.FOLDER: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE}

_GZIP_OS = 9
"""Offset of the byte of a gzip header that names the operating system; zlib writes the one it was built on."""
_UNKNOWN_OS = b"\xff"


class _Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    """No compression."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: dict[ArchiveFormat, Callable[[], _Compressor]] = {
    ArchiveFormat.TAR: _Plain,
    ArchiveFormat.TAR_GZ: lambda: zlib.compressobj(
        6, zlib.DEFLATED, zlib.MAX_WBITS | 16
    ),  # 16: as gzip, without a time
    ArchiveFormat.TAR_BZ2: lambda: bz2.BZ2Compressor(9),
    ArchiveFormat.TAR_XZ: lambda: lzma.LZMACompressor(lzma.FORMAT_XZ, preset=6),
}
"""Each with the level that its own command has by default."""


def write_tar(admitted: Iterator[Admitted], file: BinaryIO, packing: ArchiveFormat) -> None:
    """Write entries, each with its content, and the end of the archive."""
    compressor = _COMPRESSORS[packing]()
    file.writelines(compressor.compress(piece) for piece in _pieces(admitted))
    file.write(compressor.flush())
    if packing is ArchiveFormat.TAR_GZ:
        file.seek(_GZIP_OS)
        file.write(_UNKNOWN_OS)


def _pieces(admitted: Iterator[Admitted]) -> Iterator[bytes | memoryview]:
    for entry, place, content in admitted:
        yield _header(entry, place.path)
        yield from content
        yield bytes(-entry.size % BLOCK)
    yield bytes(2 * BLOCK)


def _header(entry: Entry, path: str) -> bytes:
    """Return a header without time and owner."""
    info = tarfile.TarInfo(path)
    info.type = _TYPES[entry.kind]
    info.mode = entry.plain_mode
    info.size = entry.size
    info.linkname = entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
