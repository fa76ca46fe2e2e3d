"""A folder into an archive: the same tree always gives the same bytes."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import secrets
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Protocol

import attrs

from botdock._whole_files import replacing
from botdock.archive._admission import Admission, Admitted
from botdock.archive._entry import FILE_MODE, PREFIX, SUFFIX, Chunks, Entry, EntryKind, OnProgress, guard
from botdock.archive._folder import folder_items
from botdock.archive._formats import ArchiveFormat, format_for, zstd
from botdock.archive._limits import DEFAULT_LIMITS, ArchiveLimits
from botdock.archive._tar import BLOCK

_TAR_TYPES = {EntryKind.FILE: tarfile.REGTYPE, EntryKind.FOLDER: tarfile.DIRTYPE, EntryKind.SYMLINK: tarfile.SYMTYPE}
_ZIP_TYPES = {EntryKind.FILE: stat.S_IFREG, EntryKind.FOLDER: stat.S_IFDIR, EntryKind.SYMLINK: stat.S_IFLNK}
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""
_UNIX = 3
"""The system whose modes are in the attributes of a zip's entry (APPNOTE 4.4.2.2)."""
_GZIP_OS = 9
"""Offset of the byte of a gzip header that names the operating system; zlib writes the one it was built on."""
_UNKNOWN_OS = b"\xff"


@attrs.frozen(kw_only=True)
class PackReport:
    """What was written.

    Attributes:
        format: What the archive is.
        entries: Files, folders and links in it.
        bytes: Bytes of all files, unpacked.
        sha256: Of the archive, as 64 hexadecimal digits.
        left_out: What of the folder is not in it: devices, pipes and sockets, and what was to be ignored.
    """

    format: ArchiveFormat
    entries: int
    bytes: int
    sha256: str
    left_out: tuple[str, ...] = ()


def pack(
    tree: Path,
    target: Path,
    *,
    format: ArchiveFormat | None = None,  # noqa: A002 - what the standard library's archivers call it
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: OnProgress | None = None,
    ignore: bool = False,
) -> PackReport:
    """Write a folder into an archive, which is complete or not there; one that was there before is replaced.

    The same tree gives the same bytes with the same release of zlib, bzip2, xz or zstd, whatever the machine, the user,
    the umask and the times of the files: entries are sorted, times fixed, owners 0, modes 0755 or 0644. Symbolic links
    are kept; of a file with several hard links each name gets its own copy. What `extract` with the same limits would
    refuse is refused here. Devices, pipes and sockets are not code and are left out, and so are the archive itself,
    where it lies in the tree, and `.botdock-*.partial`.

    Args:
        tree: The folder; its content, not itself, stands at the top of the archive.
        target: The file to write; its folder must be there.
        format: What to write; None means what the target's name says.
        limits: Those that the archive is to be extracted with.
        progress: Told the bytes read so far, and 0, about once a MiB.
        ignore: Whether what is not code by its name (`.git`, `.venv`, `__pycache__` and the like), and what the
            folder's `.botdockignore` names by gitignore's rules, is left out.

    Raises:
        ArchiveError: As from `extract`; `source` where something cannot be read or changes meanwhile.
        StorageError: The disk is full, or cannot be written.

    Example:
        >>> pack(Path("examples/hello"), Path("hello.zip")).sha256  # doctest: +SKIP
        '0f343b0931126a20f133d67c2b018a3b5dca8eb1b7b1dd5b5a4d5ec1b8b8a1f2'
    """
    with guard(str(tree), target):
        chosen = format or format_for(target)
        hidden = target.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
        # the archive's path below the tree, or one that nothing in the tree has
        itself = Path(os.path.relpath(os.path.realpath(target.parent), os.path.realpath(tree)), target.name)
        left_out: list[str] = []
        items = folder_items(tree, limits, left_out, skip=(itself.as_posix(),), ignore=ignore)
        admission = Admission(limits, progress=progress)
        with replacing(target, durable=False, draft=hidden) as file:
            with closing(admission.admit(items)) as admitted:
                if chosen is ArchiveFormat.ZIP:
                    _write_zip(admitted, file)
                else:
                    _write_tar(admitted, file, chosen)
            admission.finish()
            admission.compare(file.seek(0, os.SEEK_END), None)
            os.fchmod(file.fileno(), FILE_MODE)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return PackReport(
            format=chosen,
            entries=len(admission.nodes),
            bytes=admission.bytes,
            sha256=digest,
            left_out=tuple(left_out),
        )


class _Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    """No compression."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


def _zstd() -> _Compressor:
    module = zstd()
    # with a checksum, as the command does
    made: _Compressor = module.ZstdCompressor(options={module.CompressionParameter.checksum_flag: True})
    return made


_COMPRESSORS: dict[ArchiveFormat, Callable[[], _Compressor]] = {
    ArchiveFormat.TAR: _Plain,
    ArchiveFormat.TAR_GZ: lambda: zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16),  # 16: gzip, no time
    ArchiveFormat.TAR_BZ2: lambda: bz2.BZ2Compressor(9),
    ArchiveFormat.TAR_XZ: lambda: lzma.LZMACompressor(lzma.FORMAT_XZ, preset=6),
    ArchiveFormat.TAR_ZST: _zstd,
}
"""Each with the level that its own command has by default."""


def _write_tar(admitted: Iterator[Admitted], file: BinaryIO, packing: ArchiveFormat) -> None:
    """Write entries, each with its content, and the end of the archive."""
    compressor = _COMPRESSORS[packing]()
    file.writelines(compressor.compress(piece) for piece in _tar_pieces(admitted))
    file.write(compressor.flush())
    if packing is ArchiveFormat.TAR_GZ:
        file.seek(_GZIP_OS)
        file.write(_UNKNOWN_OS)


def _tar_pieces(admitted: Iterator[Admitted]) -> Iterator[bytes | memoryview]:
    for entry, place, content in admitted:
        yield _tar_header(entry, place.path)
        yield from content
        yield bytes(-entry.size % BLOCK)
    yield bytes(2 * BLOCK)


def _tar_header(entry: Entry, path: str) -> bytes:
    """Return a header without time and owner."""
    info = tarfile.TarInfo(path)
    info.type = _TAR_TYPES[entry.kind]
    info.mode = entry.plain_mode
    info.size = entry.size
    info.linkname = entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _write_zip(admitted: Iterator[Admitted], file: BinaryIO) -> None:
    """Write entries, each with its content, and the directory; what a link points to is its content."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, place, content in admitted:
            chunks: Chunks = [entry.target.encode()] if entry.kind is EntryKind.SYMLINK else content
            with archive.open(_zip_info(entry, place.path), "w") as member:
                for chunk in chunks:
                    member.write(chunk)


def _zip_info(entry: Entry, path: str) -> zipfile.ZipInfo:
    folder = entry.kind is EntryKind.FOLDER
    info = zipfile.ZipInfo(path + "/" if folder else path, _ZIP_TIME)
    info.create_system = _UNIX
    info.external_attr = (_ZIP_TYPES[entry.kind] | entry.plain_mode) << 16
    info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
    info.file_size = entry.size  # so that zipfile chooses 64-bit fields where they are needed
    return info
