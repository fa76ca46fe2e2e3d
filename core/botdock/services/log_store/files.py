"""Opening a file of a log, whether it has been compressed meanwhile or not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from botdock.services.log_store.layout import compressed_name

PIECE = 1024 * 1024


def open_data(directory: Path, name: str) -> BinaryIO:
    """Open a file of a log to read its content; one that is compressed is unpacked on the way.

    Raises:
        FileNotFoundError: Retention has removed it.
        OSError: It cannot be read.
    """
    try:
        return (directory / name).open("rb")
    except FileNotFoundError:
        return cast("BinaryIO", gzip.open(directory / compressed_name(name), "rb"))


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is left of a file, in pieces."""
    while piece := file.read(PIECE):
        yield piece
