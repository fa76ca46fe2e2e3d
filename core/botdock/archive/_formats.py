"""Which archive it is, by its first bytes, and how its compression is undone: bounded in memory, one kind of error."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from botdock.archive._entry import refusal, shown
from botdock.archive._tar import BLOCK, checksum_fits
from botdock.errors import ArchiveError

HEAD = BLOCK
"""Bytes that are looked at."""

PIECE = 1 << 20
"""Most bytes that come out of a decompressor at a time."""

XZ_MEMORY = 100 << 20
"""Memory for unpacking xz: enough for `xz -9` (65 MiB), and far from the 4 GiB that a hostile file may ask for."""


ZSTD_WINDOW = 27
"""Logarithm of the memory for unpacking zstd: 128 MiB, which its own command allows, and `zstd --ultra -22` needs."""

_TOO_LARGE = {
    "Memory usage limit": (XZ_MEMORY, "Pack it with `xz -9` or less."),
    "too much memory": (1 << ZSTD_WINDOW, f"Pack it with `zstd --long={ZSTD_WINDOW}` or less."),
}
"""What a decompressor says of a file that asks for more memory than it may have."""


class ArchiveFormat(StrEnum):
    """The archives that can be read and written."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"
    TAR_ZST = "tar.zst"


MAGIC = {
    ArchiveFormat.ZIP: (b"PK\x03\x04", b"PK\x05\x06"),
    ArchiveFormat.TAR_GZ: (b"\x1f\x8b\x08",),
    ArchiveFormat.TAR_BZ2: (b"BZh",),
    ArchiveFormat.TAR_XZ: (b"\xfd7zXZ\x00",),
    ArchiveFormat.TAR_ZST: (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + kind]) + b"\x2a\x4d\x18" for kind in range(16))),
}
"""What a file begins with. The second of zip is an archive without entries; the others of zstd are frames to be
skipped, with which pzstd begins (RFC 8878, 3.1.2)."""

_SUFFIXES = {
    ".zip": ArchiveFormat.ZIP,
    ".tar": ArchiveFormat.TAR,
    ".tar.gz": ArchiveFormat.TAR_GZ,
    ".tgz": ArchiveFormat.TAR_GZ,
    ".tar.bz2": ArchiveFormat.TAR_BZ2,
    ".tbz2": ArchiveFormat.TAR_BZ2,
    ".tar.xz": ArchiveFormat.TAR_XZ,
    ".txz": ArchiveFormat.TAR_XZ,
    ".tar.zst": ArchiveFormat.TAR_ZST,
    ".tzst": ArchiveFormat.TAR_ZST,
}

_KNOWN = "Known are zip and tar: plain, gzip, bzip2, xz and zstd."


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
    if len(head) == BLOCK and (head[257:262] == b"ustar" or checksum_fits(head) or not any(head)):
        return ArchiveFormat.TAR  # by the magic of POSIX and GNU, else by the checksum; an empty tar is only zeros
    raise refusal("is not an archive that botdock knows", limit="format", hint=_KNOWN)


def is_archive(name: str, head: bytes) -> bool:
    """Whether a file is an archive by its first bytes, or means to be one by its name."""
    with suppress(ArchiveError):
        return bool(recognise(head))
    return name.lower().endswith((*_SUFFIXES, ".zst", ".rar", ".7z"))


def format_for(target: Path) -> ArchiveFormat:
    """Return the format that the name of a file to be written asks for.

    Raises:
        ArchiveError: `format`.
    """
    name = target.name.lower()
    for suffix, found in _SUFFIXES.items():
        if name.endswith(suffix):
            return found
    raise refusal(
        f"the name {shown(target.name)} has no suffix of an archive",
        limit="format",
        hint=f"End it in one of {' '.join(_SUFFIXES)}.",
    )


class Decompressor(Protocol):
    """What `bz2`, `lzma` and `compression.zstd` have in common."""

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
    """`zlib` in the form of the others."""

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


def zstd() -> Any:
    """Return the module for zstd: the interpreter's own, which Python 3.14 brought, or the same for older ones.

    Raises:
        ArchiveError: `zstd`: there is none.
    """
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(name)
    hint = 'Run: pip install "botdock[zstd]"; or pack it as tar.gz.'
    raise refusal("is packed with zstd, and no module for it is installed", limit="zstd", hint=hint)


def _unzstd() -> Decompressor:
    module = zstd()
    found: Decompressor = module.ZstdDecompressor(options={module.DecompressionParameter.window_log_max: ZSTD_WINDOW})
    return found


OPENERS: dict[ArchiveFormat, Callable[[], Decompressor]] = {
    ArchiveFormat.TAR_GZ: lambda: Inflate(zlib.MAX_WBITS | 16),  # 16: a gzip header and trailer, which zlib verifies
    ArchiveFormat.TAR_BZ2: bz2.BZ2Decompressor,
    ArchiveFormat.TAR_XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
    ArchiveFormat.TAR_ZST: _unzstd,
}


_STANDARD_DAMAGE = (lzma.LZMAError, zlib.error, OSError, ValueError, EOFError)


def decompressed(read: Callable[[], bytes], packing: ArchiveFormat) -> Iterator[bytes]:
    """Yield what was packed; several compressed streams one after another are one, as in gzip, bzip2, xz and zstd.

    Raises:
        ArchiveError: `checksum`, `truncated`, `memory`, `zstd`, or `trailing` where something else follows.
    """
    data = yield from _one(OPENERS[packing](), read, b"")
    while data := _next_start(data, read):
        if not any(data.startswith(magic[: len(data)]) for magic in MAGIC[packing]):
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
        ArchiveError: `checksum`, or `memory` for xz and zstd.
    """
    try:
        return codec.decompress(data, PIECE)
    except _damage() as error:
        for words, (most, hint) in _TOO_LARGE.items():
            if words in str(error):
                reason = f"needs more than {most >> 20} MiB of memory to unpack"
                raise refusal(reason, limit=f"memory={most}", entry=name, hint=hint) from error
        raise refusal(f"is damaged: {error}", limit="checksum", entry=name) from error


def _damage() -> tuple[type[Exception], ...]:
    """Return what decompressors raise; zstd's is asked for only where one has failed."""
    with suppress(ArchiveError):
        return (*_STANDARD_DAMAGE, zstd().ZstdError)
    return _STANDARD_DAMAGE
