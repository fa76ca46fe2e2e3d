"""The entries of a tar archive, read front to back, so that a stream will do.

POSIX.1-2017 pax ("ustar Interchange Format", "pax Extended Header"), GNU tar's and v7's forms. The standard library's
`tarfile` is not used for reading: it takes extended headers of any size into memory, follows chains of them by
recursion, and lets later global headers pile up. What is read here is bounded before it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from botdock.archive._entry import Entry, EntryKind, Items, refusal
from botdock.errors import ArchiveError

BLOCK = 512
"""Bytes of a header, and what content is padded to."""

EXTENSION_BYTES = 1 << 20
"""Most bytes of one extended header; Linux lets all names, link targets and attributes of a file take less."""

EXTENSIONS = 8
"""Extended headers before one entry; there is one of each kind at most."""

_Beside = Callable[[int], None]

_KINDS = {
    b"0": EntryKind.FILE,
    b"\0": EntryKind.FILE,
    b"7": EntryKind.FILE,  # "contiguous", which means nothing today
    b"1": EntryKind.HARD_LINK,
    b"2": EntryKind.SYMLINK,
    b"3": EntryKind.SPECIAL,
    b"4": EntryKind.SPECIAL,
    b"5": EntryKind.FOLDER,
    b"6": EntryKind.SPECIAL,
}

_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET, _LABEL = b"x", b"X", b"g", b"L", b"K", b"V"
_EXTENDING = {_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET, _LABEL}
_START = re.compile(rb"([1-9][0-9]{0,6}) ([^=]+)=")
_SIZE = re.compile(rb"[0-9]{1,20}")
_WANTED = {b"path": "path", b"linkpath": "linkpath", b"size": "size"}
_CHECKSUM = slice(148, 156)


class ByteStream:
    """Cuts what an iterator yields anew, mostly without copying it.

    Attributes:
        name: What is being read, for the message when the bytes end too early.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.name: str | None = None
        self._pieces = pieces
        self._piece = memoryview(b"")

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes, all in memory.

        Raises:
            ArchiveError: `truncated`.
        """
        if len(self._piece) >= count:
            found, self._piece = self._piece[:count], self._piece[count:]
            return bytes(found)
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield the next `count` bytes in pieces.

        Raises:
            ArchiveError: `truncated`.
        """
        while count:
            if not self._piece and not self._advance():
                what = "ends in the middle" if self.name else "ends in the middle, or is not a tar"
                raise refusal(what, limit="truncated", entry=self.name)
            found, self._piece = self._piece[:count], self._piece[count:]
            count -= len(found)
            yield found

    def rest(self) -> Iterator[memoryview]:
        """Yield what is left, to the end."""
        yield self._piece
        while self._advance():
            yield self._piece

    def _advance(self) -> bool:
        self._piece = memoryview(next(self._pieces, b""))
        return bool(self._piece)


def tar_items(stream: ByteStream, beside: _Beside) -> Items:
    """Yield the entries of an unpacked tar.

    Args:
        stream: The bytes.
        beside: Is told of bytes that belong to no file.

    Raises:
        ArchiveError: `truncated`, `checksum`, `format`, `sparse`, `header_bytes`, `headers` or `trailing`.
    """
    while (header := _next_header(stream, beside)) is not None:
        entry = _entry(header)
        stream.name = entry.name
        yield entry, stream.pieces(entry.size)
        stream.exactly(-entry.size % BLOCK)
        stream.name = None
    for piece in stream.rest():
        beside(len(piece))
        if piece.tobytes().strip(b"\0"):
            raise refusal("has something else after its end", limit="trailing")


def _next_header(stream: ByteStream, beside: _Beside) -> Header | None:
    """Return the header of the next entry, with what extended headers add to it; None at the end."""
    added: dict[str, bytes] = {}
    for _ in range(EXTENSIONS + 1):
        block = stream.exactly(BLOCK)
        if not any(block):
            return None
        header = _parse(block)
        if header.kind not in _EXTENDING:
            size = int(added.get("size", header.size))
            target = added.get("linkpath", header.target)
            return header._replace(name=added.get("path", header.name), target=target, size=size)
        added |= _extension(header, stream, beside)
    reason = f"has more than {EXTENSIONS} extended headers"
    raise refusal(reason, limit=f"headers={EXTENSIONS}", entry=decoded(header.name))


def _extension(header: Header, stream: ByteStream, beside: _Beside) -> dict[str, bytes]:
    """Read the content of an extended header: what it says of the next entry."""
    if header.size > EXTENSION_BYTES:
        reason = f"has an extended header of {header.size} bytes; {EXTENSION_BYTES} are allowed"
        raise refusal(reason, limit=f"header_bytes={EXTENSION_BYTES}", entry=decoded(header.name))
    beside(header.size)
    data = stream.exactly(header.size)
    stream.exactly(-header.size % BLOCK)
    if header.kind in {_PAX, _PAX_SOLARIS}:
        return _pax_records(data, decoded(header.name))
    if header.kind == _PAX_GLOBAL:
        if _pax_records(data, decoded(header.name)):  # git writes a comment so, which is well
            raise refusal("has one name, target or size for all entries", limit="format")
        return {}
    text = data.partition(b"\0")[0]
    return {_LONG_NAME: {"path": text}, _LONG_TARGET: {"linkpath": text}}.get(header.kind, {})


def _entry(header: Header) -> Entry:
    name = decoded(header.name)
    kind = _KINDS.get(header.kind)
    if header.kind == b"S":
        raise _sparse(name)
    if kind is None:
        raise refusal(f"is of a kind that is not known: {header.kind!r}", limit="format", entry=name)
    if kind is EntryKind.FILE and name.endswith("/"):
        kind = EntryKind.FOLDER  # as v7 wrote them
        if header.size:
            raise refusal("is a folder with content", limit="format", entry=name)
    size = header.size if kind is EntryKind.FILE else 0  # others have no content, whatever their size field says
    return Entry(name=name, kind=kind, mode=header.mode, size=size, target=decoded(header.target))


class Header(NamedTuple):
    """The fields that matter; names as the bytes that stand there."""

    name: bytes
    mode: int
    size: int
    kind: bytes
    target: bytes


def _parse(block: bytes) -> Header:
    """Read a header.

    Raises:
        ArchiveError: `checksum`: it is damaged, or not a header; `format`: it holds a number that cannot be read.
    """
    name = _text(block[0:100])
    if not checksum_fits(block):
        reason = "has a damaged header, or is not a tar"
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
    """Return a name as text; bytes that are not UTF-8 become lone surrogates, which the rules on names refuse."""
    return name.decode("utf-8", "surrogateescape")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, name: bytes) -> int:
    """Read octal digits, or GNU's binary form for large numbers, of which the negative ones mean nothing here."""
    value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else _octal(field)  # noqa: PLR2004 - GNU's mark
    if value is None:
        raise refusal("has a number in its header that cannot be read", limit="format", entry=decoded(name))
    return value


def _octal(field: bytes) -> int | None:
    digits = field.replace(b"\0", b" ").strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        return None
    return int(digits, 8)


def _pax_records(data: bytes, name: str) -> dict[str, bytes]:
    """Return what `data` says of path, linkpath and size; an empty value means that it says nothing.

    Raises:
        ArchiveError: `format`, or `sparse` for a file that is stored with its holes left out.
    """
    found = {}
    for key, value in _split(data, name):
        if key.startswith(b"GNU.sparse."):
            raise _sparse(name)
        if value and key in _WANTED:
            found[_WANTED[key]] = value
    if "size" in found and not _SIZE.fullmatch(found["size"]):
        raise _broken(name)
    return found


def _sparse(name: str) -> ArchiveError:
    """Return the refusal of a sparse file: its size on disk is not what the archive holds of it."""
    return refusal("is stored as a sparse file", limit="sparse", entry=name, hint="Pack it without --sparse.")


def _split(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        start = _START.match(data, at)
        end = at + int(start[1]) if start else 0
        if start is None or not start.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise _broken(name)
        yield start[2], data[start.end() : end - 1]
        at = end


def _broken(name: str) -> ArchiveError:
    return refusal("has a damaged extended header", limit="format", entry=name)
