"""Entries into a zip archive."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from botdock.archive._admit import Admitted
from botdock.archive._entry import Chunks, Entry, Kind

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""

_UNIX = 3
"""The system whose modes are in the attributes (APPNOTE 4.4.2.2)."""

_TYPES = {Kind.FILE: stat.S_IFREG, Kind.FOLDER: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}


def write_zip(admitted: Iterator[Admitted], file: BinaryIO) -> None:
    """Write entries, each with its content, and the directory; what a link points to is its content."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, place, content in admitted:
            chunks: Chunks = [entry.target.encode()] if entry.kind is Kind.SYMLINK else content
            with archive.open(_info(entry, place.path), "w") as member:
                for chunk in chunks:
                    member.write(chunk)


def _info(entry: Entry, path: str) -> zipfile.ZipInfo:
    folder = entry.kind is Kind.FOLDER
    info = zipfile.ZipInfo(path + "/" if folder else path, _TIME)
    info.create_system = _UNIX
    info.external_attr = (_TYPES[entry.kind] | entry.plain_mode) << 16
    info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
    info.file_size = entry.size  # so that zipfile chooses 64-bit fields where they are needed
    return info
