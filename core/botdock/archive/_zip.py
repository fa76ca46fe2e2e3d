"""The entries of a zip archive.

The standard library's `zipfile` is not used for reading: it takes the whole directory into memory before anything can
be counted, and believes what the directory says of where members lie. Here no two members may share a byte.
"""

from __future__ import annotations

import bz2
import itertools
import stat
import struct
import zlib
from collections.abc import Callable, Iterator

from botdock.archive._decompress import Decompressor, Inflate, step
from botdock.archive._entry import Entry, Items, Kind, kind_of
from botdock.archive._limits import ArchiveLimits
from botdock.archive._refusal import refusal
from botdock.archive._source import CHUNK, Source
from botdock.archive._zip_directory import Member, member_at, read_directory

_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, directory masked."""
_STORED = 0
_CODECS: dict[int, Callable[[], Decompressor]] = {8: lambda: Inflate(-zlib.MAX_WBITS), 12: bz2.BZ2Decompressor}
"""Compression methods of APPNOTE 4.4.5 that are unpacked, beside `stored`; -MAX_WBITS: deflate without a header."""


def zip_items(source: Source, limits: ArchiveLimits) -> Items:
    """Yield the entries of a zip archive, in the order of their content.

    Args:
        source: The archive; `at` must work.
        limits: Bounds of entries and of the targets of links.

    Raises:
        ArchiveError: `truncated`, `format`, `encrypted`, `overlap`, `checksum`, `entries`.
    """
    members, end = read_directory(source, limits)
    ends = itertools.chain((offset for offset, _ in itertools.islice(members, 1, None)), [end])
    for (_, at), until in zip(members, ends, strict=False):
        yield _item(source, member_at(source, at)[0], until, limits)


def _item(source: Source, member: Member, until: int, limits: ArchiveLimits) -> tuple[Entry, Iterator[bytes]]:
    name = member.text
    _check_method(member, name)
    start = _content_start(source, member, name)
    if start + member.packed > until:
        raise refusal("shares bytes with what follows it", limit="overlap", entry=name)
    content = _verified(_unpacked(source, member, start, name), member, name)
    kind = Kind.FOLDER if name.endswith("/") else kind_of(member.mode)
    if kind is Kind.SYMLINK:
        return Entry(name=name, kind=kind, target=_target(content, name, limits)), iter(())
    if kind is Kind.FOLDER and member.size:
        raise refusal("is a folder with content", limit="format", entry=name)
    size = member.size if kind is Kind.FILE else 0
    return Entry(name=name, kind=kind, mode=stat.S_IMODE(member.mode), size=size), content


def _check_method(member: Member, name: str) -> None:
    if member.flags & _ENCRYPTED:
        raise refusal("is encrypted", limit="encrypted", entry=name, hint="Pack it without a password.")
    if member.method not in {_STORED, *_CODECS}:
        reason = f"is packed by method {member.method}, which is not supported"
        raise refusal(reason, limit="format", entry=name, hint="Pack it with deflate, the usual method.")


def _content_start(source: Source, member: Member, name: str) -> int:
    """Return where the content begins, once its own header agrees with the directory."""
    data = source.at(member.offset, _LOCAL.size) if member.offset < source.size else b""
    if len(data) < _LOCAL.size or not data.startswith(b"PK\x03\x04"):
        raise refusal("is not where the directory says", limit="truncated", entry=name)
    _, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(data)
    own_name = source.at(member.offset + _LOCAL.size, name_length)
    if own_name != member.name or method != member.method or flags & _ENCRYPTED:
        raise refusal("has a header that differs from the directory", limit="format", entry=name)
    return member.offset + _LOCAL.size + int(name_length) + int(extra_length)


def _unpacked(source: Source, member: Member, start: int, name: str) -> Iterator[bytes]:
    packed = _packed(source, start, member.packed, name)
    if member.method == _STORED:
        yield from packed
        return
    codec = _CODECS[member.method]()
    while not codec.eof:
        data = next(packed, b"") if codec.needs_input else b""
        if codec.needs_input and not data:
            raise refusal("ends in the middle", limit="truncated", entry=name)
        yield step(codec, data, name)


def _packed(source: Source, at: int, count: int, name: str) -> Iterator[bytes]:
    while count:
        data = source.at(at, min(count, CHUNK))
        if not data:
            raise refusal("ends in the middle", limit="truncated", entry=name)
        at += len(data)
        count -= len(data)
        yield data


def _verified(pieces: Iterator[bytes], member: Member, name: str) -> Iterator[bytes]:
    """Pass content on, and compare it with the size and the checksum that the directory holds."""
    size = crc = 0
    for piece in pieces:
        size += len(piece)
        if size > member.size:
            break
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != member.size or crc != member.crc:
        raise refusal("does not match its size or its checksum", limit="checksum", entry=name)


def _target(content: Iterator[bytes], name: str, limits: ArchiveLimits) -> str:
    """Read what a symbolic link points to: its content."""
    target = b""
    for piece in content:
        target += piece
        if len(target) > limits.name_bytes:
            reason = f"has a target of more than {limits.name_bytes} bytes"
            raise refusal(reason, limit=f"name_bytes={limits.name_bytes}", entry=name)
    return target.decode("utf-8", "surrogateescape")
