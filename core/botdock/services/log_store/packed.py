"""Whether a compressed file of a log is, to the bit, what could have been written."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.services.log_store.retention import PACKED_HEAD

if TYPE_CHECKING:
    from botdock.services.log_store.files import Inflater
    from botdock.services.log_store.segment import Hash

_PIECE = 64 * 1024
_TRAILER = 8
"""CRC and length (RFC 1952, 2.3.1)."""
_END = _TRAILER + 1


def check_packed(path: Path, digest: Hash) -> str | None:
    """Unpack a file into a digest; return what is wrong with it, or None.

    What unpacking alone forgives is looked at too: the header's idle fields, bytes behind the end, and the bits that
    fill the last byte.

    Raises:
        OSError: It cannot be read.
    """
    inflater, done = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(PACKED_HEAD)) != PACKED_HEAD:
            return "its header is damaged"
        file.seek(0)
        try:
            while (left := size - _END - file.tell()) > 0:
                done += _unpack(inflater, file.read(min(left, _PIECE)), digest)
            end = file.read()
            before = inflater.copy()
            done += _unpack(inflater, end, digest)
        except zlib.error as error:
            return f"it cannot be unpacked behind byte {done} of what it holds ({error})"
    if not inflater.eof:
        return f"it ends in its middle, behind byte {done} of what it holds"
    if inflater.unused_data:
        return f"{len(inflater.unused_data)} bytes follow its end"
    return "the bits that fill its last byte are not zero" if _has_idle_bits(before, end) else None


def _unpack(inflater: Inflater, packed: bytes, digest: Hash) -> int:
    size = 0
    while packed and not inflater.eof:
        data = inflater.decompress(packed, _PIECE)
        packed = inflater.unconsumed_tail
        digest.update(data)
        size += len(data)
    while not inflater.eof and (data := inflater.decompress(b"", _PIECE)):
        digest.update(data)
        size += len(data)
    return size


def _has_idle_bits(before: Inflater, end: bytes) -> bool:
    """Return whether the highest bit that is set in the last byte means nothing, though it should not be set then."""
    last = end[0]
    changed = bytes([last & ~(1 << max(last.bit_length() - 1, 0))]) + end[1:]
    try:
        before.decompress(changed)
    except zlib.error:
        return False
    return bool(last) and before.eof and not before.unused_data
