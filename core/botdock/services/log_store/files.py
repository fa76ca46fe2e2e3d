"""The files of a segment, while they may be compressed or removed: which are there, and their content."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from botdock.services.log_store.layout import STREAMS, compressed_name, data_name, index_name, seal_name

PIECE = 1024 * 1024
UNREADABLE = (ValueError, EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a damaged file raises, beside an `OSError`."""


def open_data(directory: Path, name: str) -> BinaryIO:
    """Open a file of a log to read its content from the beginning; one that is compressed is unpacked on the way.

    What was not asked for is not read ahead: behind the last record, it may change.

    Raises:
        FileNotFoundError: Retention has removed it.
        OSError: It cannot be read.
    """
    try:
        return cast("BinaryIO", (directory / name).open("rb", buffering=0))
    except FileNotFoundError:
        return cast("BinaryIO", gzip.open(directory / compressed_name(name), "rb"))


def pieces(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, or all that is left of it, in pieces; fewer where it ends before."""
    while size is None or size > 0:
        piece = file.read(PIECE if size is None else min(size, PIECE))
        if not piece:
            return
        size = None if size is None else size - len(piece)
        yield piece


def present_files(directory: Path, number: int) -> list[str]:
    """Return the names of the files of a segment."""
    data = [data_name(stream, number) for stream in STREAMS]
    names = [*data, *map(compressed_name, data), index_name(number), seal_name(number)]
    return [name for name in names if (directory / name).exists()]


def missing_files(directory: Path, number: int) -> list[str]:
    """Return the names of those that a segment needs and does not have; its seal is left out."""
    names = [name for stream in STREAMS if not _is_there(directory, name := data_name(stream, number))]
    index = index_name(number)
    return names if (directory / index).exists() else [*names, index]


def _is_there(directory: Path, name: str) -> bool:
    """Return whether a file is there; asks for the plain one first, which goes when the compressed one is there."""
    return (directory / name).exists() or (directory / compressed_name(name)).exists()
