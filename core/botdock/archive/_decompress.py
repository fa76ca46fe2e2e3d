"""Bytes out of compressed ones: bounded in memory, and with one kind of error."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from botdock.archive._formats import MAGIC, ArchiveFormat
from botdock.archive._refusal import refusal
from botdock.errors import ArchiveError

PIECE = 1 << 20
"""Most bytes that come out at a time."""

XZ_MEMORY = 100 << 20
"""Memory for unpacking xz: enough for `xz -9` (65 MiB), and far from the 4 GiB that a hostile file may ask for."""


class Decompressor(Protocol):
    """What `bz2` and `lzma` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the compressed stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more going in."""

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Take in `data`, and return up to `max_length` bytes."""


class Inflate:
    """`zlib` in the form of the other two."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Take in `data`, and return up to `max_length` bytes."""
        tail = self._zlib.unconsumed_tail
        out = self._zlib.decompress(tail + data if tail else data, max_length)
        # A full piece may leave more inside zlib, even when all of the input is taken in.
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < max_length
        return out


OPENERS: dict[ArchiveFormat, Callable[[], Decompressor]] = {
    ArchiveFormat.TAR_GZ: lambda: Inflate(zlib.MAX_WBITS | 16),  # 16: a gzip header and trailer, which zlib verifies
    ArchiveFormat.TAR_BZ2: bz2.BZ2Decompressor,
    ArchiveFormat.TAR_XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
}


def decompressed(read: Callable[[], bytes], packing: ArchiveFormat) -> Iterator[bytes]:
    """Yield what was packed; several compressed streams one after another are one, as in gzip, bzip2 and xz.

    Raises:
        ArchiveError: `checksum`, `truncated`, `memory`, or `trailing` where something else follows.
    """
    data = yield from _one(OPENERS[packing](), read, b"")
    while data := _next_start(data, read):
        if not data.startswith(MAGIC[packing][0][: len(data)]):
            raise refusal("has something else after the compressed data", limit="trailing")
        data = yield from _one(OPENERS[packing](), read, data)


def _next_start(data: bytes, read: Callable[[], bytes]) -> bytes:
    """Return what begins the next stream: zeros between them are padding."""
    while not (data := data.lstrip(b"\0")):
        data = read()
        if not data:
            break
    return data


def _one(codec: Decompressor, read: Callable[[], bytes], data: bytes) -> Generator[bytes, None, bytes]:
    """Yield the content of one compressed stream, and return what was read beyond its end."""
    while not codec.eof:
        if codec.needs_input and not data:
            data = read()
            if not data:
                raise refusal("ends in the middle", limit="truncated")
        piece = step(codec, data)
        data = b""
        if piece:
            yield piece
    return codec.unused_data


def step(codec: Decompressor, data: bytes, name: str | None = None) -> bytes:
    """Take one step of a decompressor; whatever it raises means damaged data.

    Raises:
        ArchiveError: `checksum`, or `memory` for xz.
    """
    try:
        return codec.decompress(data, PIECE)
    except lzma.LZMAError as error:
        raise _lzma_refusal(error, name) from error
    except (zlib.error, OSError, ValueError, EOFError) as error:
        raise _damaged(error, name) from error


def _lzma_refusal(error: lzma.LZMAError, name: str | None) -> ArchiveError:
    if "Memory usage limit" not in str(error):
        return _damaged(error, name)
    reason = f"needs more than {XZ_MEMORY >> 20} MiB of memory to unpack"
    return refusal(reason, limit=f"memory={XZ_MEMORY}", entry=name, hint="Pack it with `xz -9` or less.")


def _damaged(error: Exception, name: str | None) -> ArchiveError:
    return refusal(f"is damaged: {error}", limit="checksum", entry=name)
