"""Which archive it is, by its first bytes; a name is only looked at to choose what to write."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from botdock.archive._refusal import refusal
from botdock.archive._tar_header import BLOCK, checksum_fits

HEAD = BLOCK
"""Bytes that are looked at."""


class ArchiveFormat(StrEnum):
    """The archives that can be read and written."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"


MAGIC = {
    ArchiveFormat.ZIP: (b"PK\x03\x04", b"PK\x05\x06"),
    ArchiveFormat.TAR_GZ: (b"\x1f\x8b\x08",),
    ArchiveFormat.TAR_BZ2: (b"BZh",),
    ArchiveFormat.TAR_XZ: (b"\xfd7zXZ\x00",),
}
"""What a file begins with; the second of zip is an archive without entries."""

_SUFFIXES = {
    ".zip": ArchiveFormat.ZIP,
    ".tar": ArchiveFormat.TAR,
    ".tar.gz": ArchiveFormat.TAR_GZ,
    ".tgz": ArchiveFormat.TAR_GZ,
    ".tar.bz2": ArchiveFormat.TAR_BZ2,
    ".tbz2": ArchiveFormat.TAR_BZ2,
    ".tar.xz": ArchiveFormat.TAR_XZ,
    ".txz": ArchiveFormat.TAR_XZ,
}

_KNOWN = "Known are zip and tar: plain, gzip, bzip2 and xz."


def recognise(head: bytes) -> ArchiveFormat:
    """Return the format of an archive that begins with `head`, its first 512 bytes or all of it.

    Raises:
        ArchiveError: `empty` or `format`.
    """
    if not head:
        raise refusal("is empty: 0 bytes", limit="empty")
    for found, magics in MAGIC.items():
        if head.startswith(magics):
            return found
    if _is_tar(head):
        return ArchiveFormat.TAR
    raise refusal("is no archive that botdock knows", limit="format", hint=_KNOWN)


def _is_tar(head: bytes) -> bool:
    """Tell by the magic of POSIX and GNU, else by the checksum; an empty tar is nothing but zeros."""
    return len(head) == BLOCK and (head[257:262] == b"ustar" or checksum_fits(head) or not any(head))


def format_for(target: Path) -> ArchiveFormat:
    """Return the format that the name of a file to be written asks for.

    Raises:
        ArchiveError: `format`.
    """
    name = target.name.lower()
    for suffix, found in _SUFFIXES.items():
        if name.endswith(suffix):
            return found
    raise refusal("has a name that says no format", limit="format", hint=f"End it in one of {' '.join(_SUFFIXES)}.")
