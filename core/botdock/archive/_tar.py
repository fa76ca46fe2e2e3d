"""The entries of a tar archive, read front to back, so that a stream will do.

The standard library's `tarfile` is not used for reading: it takes extended headers of any size into memory, follows
chains of them by recursion, and lets later global headers pile up. What is read here is bounded before it is read.
"""

from __future__ import annotations

from collections.abc import Callable

from botdock.archive._entry import Entry, Items, Kind
from botdock.archive._pax import pax_records, sparse
from botdock.archive._refusal import refusal
from botdock.archive._stream import ByteStream
from botdock.archive._tar_header import BLOCK, Header, decoded, parse

EXTENSION_BYTES = 1 << 20
"""Most bytes of one extended header; Linux lets all names, link targets and attributes of a file take less."""

EXTENSIONS = 8
"""Extended headers before one entry; there is one of each kind at most."""

_Beside = Callable[[int], None]

_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # "contiguous", which means nothing today
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.SPECIAL,
    b"4": Kind.SPECIAL,
    b"5": Kind.FOLDER,
    b"6": Kind.SPECIAL,
}

_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET, _LABEL = b"x", b"X", b"g", b"L", b"K", b"V"
_EXTENDING = {_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _LONG_NAME, _LONG_TARGET, _LABEL}


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
        header = parse(block)
        if header.kind not in _EXTENDING:
            return _with(header, added)
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
        return pax_records(data, decoded(header.name))
    if header.kind == _PAX_GLOBAL:
        return _global(pax_records(data, decoded(header.name)))
    text = data.partition(b"\0")[0]
    return {_LONG_NAME: {"path": text}, _LONG_TARGET: {"linkpath": text}}.get(header.kind, {})


def _global(records: dict[str, bytes]) -> dict[str, bytes]:
    """Accept what describes the archive (git writes a comment so), and nothing that would name every entry alike."""
    if records:
        raise refusal("has one name, target or size for all entries", limit="format")
    return {}


def _with(header: Header, added: dict[str, bytes]) -> Header:
    if not added:
        return header
    return header._replace(
        name=added.get("path", header.name),
        target=added.get("linkpath", header.target),
        size=int(added.get("size", header.size)),
    )


def _entry(header: Header) -> Entry:
    name = decoded(header.name)
    kind = _KINDS.get(header.kind)
    if header.kind == b"S":
        raise sparse(name)
    if kind is None:
        raise refusal(f"is of a kind that is not known: {header.kind!r}", limit="format", entry=name)
    if kind is Kind.FILE and name.endswith("/"):
        kind = _old_folder(header, name)
    size = header.size if kind is Kind.FILE else 0  # others have no content, whatever their size field says
    return Entry(name=name, kind=kind, mode=header.mode, size=size, target=decoded(header.target))


def _old_folder(header: Header, name: str) -> Kind:
    """Take a file whose name ends in a slash for a folder, as v7 wrote them."""
    if header.size:
        raise refusal("is a folder with content", limit="format", entry=name)
    return Kind.FOLDER
