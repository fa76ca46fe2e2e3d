"""One header block of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's and v7's forms too)."""

from __future__ import annotations

from typing import NamedTuple

from botdock.archive._refusal import refusal

BLOCK = 512
"""Bytes of a header, and what content is padded to."""

_CHECKSUM = slice(148, 156)


class Header(NamedTuple):
    """The fields that matter; names as the bytes that stand there."""

    name: bytes
    mode: int
    size: int
    kind: bytes
    target: bytes


def parse(block: bytes) -> Header:
    """Read a header.

    Raises:
        ArchiveError: `checksum`: it is damaged, or no header; `format`: it holds a number that is none.
    """
    name = _text(block[0:100])
    if not checksum_fits(block):
        reason = "has a damaged header, or is no tar at all"
        raise refusal(reason, limit="checksum", entry=decoded(name) or None)
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return Header(
        name=prefix + b"/" + name if prefix else name,
        mode=_number(block[100:108], name) & 0o7777,
        size=_number(block[124:136], name),
        kind=block[156:157],
        target=_text(block[157:257]),
    )


def checksum_fits(block: bytes) -> bool:
    """Tell whether the sum of the bytes, the sum's own field taken as blanks, is the one that stands there.

    Some old programs summed signed bytes; that is as good.
    """
    stored = _octal(block[_CHECKSUM])
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    unsigned = sum(rest)
    if stored == unsigned:
        return True
    high = sum(byte > 127 for byte in rest)  # noqa: PLR2004 - the largest signed byte
    return stored == unsigned - 256 * high


def decoded(name: bytes) -> str:
    """Return a name as text; bytes that are no UTF-8 become lone surrogates, which the rules on names refuse."""
    return name.decode("utf-8", "surrogateescape")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, name: bytes) -> int:
    """Read octal digits, or GNU's binary form for large numbers, of which the negative ones mean nothing here."""
    value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else _octal(field)  # noqa: PLR2004 - GNU's mark
    if value is None:
        raise refusal("has a number in its header that is none", limit="format", entry=decoded(name))
    return value


def _octal(field: bytes) -> int | None:
    digits = field.replace(b"\0", b" ").strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        return None
    return int(digits, 8)
