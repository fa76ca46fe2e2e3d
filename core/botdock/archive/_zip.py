"""The entries of a zip archive (PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5).

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
from typing import NamedTuple

from botdock.archive._entry import CHUNK, Entry, EntryKind, Items, check_text, kind_of, refusal
from botdock.archive._formats import Decompressor, Inflate, step
from botdock.archive._limits import ArchiveLimits
from botdock.archive._source import ArchiveSource
from botdock.errors import ArchiveError

_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, directory masked."""
_STORED = 0
_CODECS: dict[int, Callable[[], Decompressor]] = {8: lambda: Inflate(-zlib.MAX_WBITS), 12: bz2.BZ2Decompressor}
"""Compression methods of APPNOTE 4.4.5 that are unpacked, beside `stored`; -MAX_WBITS: deflate without a header."""
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_MEMBER = struct.Struct("<4s2B5H3L5H2L")
_UNICODE_PATH = struct.Struct("<BL")
_DOS_SYSTEMS = frozenset({0, 6, 10, 11, 14})
"""Systems of APPNOTE 4.4.2.2 that write `\\` between folders, against 4.4.17: MS-DOS, OS/2, NTFS, MVS, VFAT."""
_EXTRA = struct.Struct("<2H")

_MAX_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF
"""Stands in a 32-bit field whose value is in the zip64 extra field."""

_UTF_8 = 0x800
"""Flag: the name is UTF-8."""


class _Member(NamedTuple):
    """What the central directory says of an entry; offsets are from the start of the archive."""

    offset: int
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    system: int
    unicode_name: bytes

    @property
    def text(self) -> str:
        """The name as text, from the field that says it in UTF-8 where there is one; `/` between folders.

        Raises:
            ArchiveError: `encoding`: it is not UTF-8, and nothing says what it is.
        """
        try:
            text = (self.unicode_name or self.name).decode("utf-8")
        except UnicodeDecodeError:
            if self.flags & _UTF_8:
                return self.name.decode("utf-8", "surrogateescape")
            reason = "has a name in an encoding that the archive does not tell"
            hint = "Pack it with names in UTF-8: 7z a -mcu=on, zip of Info-ZIP, or `botdock pack`."
            raise refusal(reason, limit="encoding", entry=self.name.decode("cp437"), hint=hint) from None
        return text.replace("\\", "/") if self.system in _DOS_SYSTEMS else text


def zip_items(source: ArchiveSource, limits: ArchiveLimits) -> Items:
    """Yield the entries of a zip archive, in the order of their content.

    Args:
        source: The archive; `at` must work.
        limits: Bounds of entries and of the targets of links.

    Raises:
        ArchiveError: `truncated`, `format`, `encrypted`, `overlap`, `checksum`, `entries`.
    """
    members, end = _read_directory(source, limits)
    ends = itertools.chain((offset for offset, _ in itertools.islice(members, 1, None)), [end])
    for (_, at), until in zip(members, ends, strict=False):
        yield _item(source, _member_at(source, at)[0], until, limits)


def _item(source: ArchiveSource, member: _Member, until: int, limits: ArchiveLimits) -> tuple[Entry, Iterator[bytes]]:
    name = member.text
    _check_method(member, name)
    start = _content_start(source, member, name)
    if start + member.packed > until:
        raise refusal("shares bytes with what follows it", limit="overlap", entry=name)
    content = _verified(_unpacked(source, member, start, name), member, name)
    kind = EntryKind.FOLDER if name.endswith("/") else kind_of(member.mode)
    if kind is EntryKind.SYMLINK:
        return Entry(name=name, kind=kind, target=_target(content, name, limits)), iter(())
    if kind is EntryKind.FOLDER and member.size:
        raise refusal("is a folder with content", limit="format", entry=name)
    size = member.size if kind is EntryKind.FILE else 0
    return Entry(name=name, kind=kind, mode=stat.S_IMODE(member.mode), size=size), content


def _check_method(member: _Member, name: str) -> None:
    if member.flags & _ENCRYPTED:
        raise refusal("is encrypted", limit="encrypted", entry=name, hint="Pack it without a password.")
    if member.method not in {_STORED, *_CODECS}:
        reason = f"is packed by method {member.method}, which is not supported"
        raise refusal(reason, limit="format", entry=name, hint="Pack it with deflate, the usual method.")


def _content_start(source: ArchiveSource, member: _Member, name: str) -> int:
    """Return where the content begins, once its own header agrees with the directory."""
    data = source.at(member.offset, _LOCAL.size) if member.offset < source.size else b""
    if len(data) < _LOCAL.size or not data.startswith(b"PK\x03\x04"):
        raise refusal("is not where the directory says", limit="truncated", entry=name)
    _, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(data)
    own_name = source.at(member.offset + _LOCAL.size, name_length)
    if own_name != member.name or method != member.method or flags & _ENCRYPTED:
        raise refusal("has a header that differs from the directory", limit="format", entry=name)
    return member.offset + _LOCAL.size + int(name_length) + int(extra_length)


def _unpacked(source: ArchiveSource, member: _Member, start: int, name: str) -> Iterator[bytes]:
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


def _packed(source: ArchiveSource, at: int, count: int, name: str) -> Iterator[bytes]:
    while count:
        data = source.at(at, min(count, CHUNK))
        if not data:
            raise refusal("ends in the middle", limit="truncated", entry=name)
        at += len(data)
        count -= len(data)
        yield data


def _verified(pieces: Iterator[bytes], member: _Member, name: str) -> Iterator[bytes]:
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


def _read_directory(source: ArchiveSource, limits: ArchiveLimits) -> tuple[list[tuple[int, int]], int]:
    """Return where each member's content and record are, in the order of content, and where the last content must end.

    Raises:
        ArchiveError: `truncated`, `format`, or `entries`.
    """
    start, end = _locate(source)
    at, members = start, list[tuple[int, int]]()
    while at < end:
        member, behind = _member_at(source, at)
        if behind > end:
            raise _broken("has a damaged directory")
        if len(members) >= limits.entries:
            reason = f"is one too many; {limits.entries} entries are allowed"
            raise refusal(reason, limit=f"entries={limits.entries}", entry=member.text)
        check_text(member.text, Entry(name=member.text, kind=EntryKind.FILE), limits)  # before thousands are kept
        members.append((member.offset, at))
        at = behind
    return sorted(members), start


def _locate(source: ArchiveSource) -> tuple[int, int]:
    """Find the directory by the record at the end, behind which only its own comment may stand."""
    start = max(0, source.size - _END.size - _MAX_COMMENT)
    tail = source.at(start, _END.size + _MAX_COMMENT)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and len(tail) - at >= _END.size:
        record = _END.unpack_from(tail, at)
        if at + _END.size + record[7] == len(tail):
            return _bounds(source, start + at, record)
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise refusal("has no directory at its end", limit="truncated")


def _bounds(source: ArchiveSource, end: int, record: tuple[int, ...]) -> tuple[int, int]:
    """Return where the directory begins and ends: just before its record, or before that one's 64-bit forerunner."""
    _, disk, first_disk, _, _, size, start, _ = record
    locator = source.at(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator.startswith(b"PK\x06\x07"):
        _, _, end, _ = _LOCATOR.unpack(locator)
        data = source.at(end, _END_64.size) if end < source.size else b""
        if len(data) < _END_64.size or not data.startswith(b"PK\x06\x06"):
            raise _broken("has a damaged directory")
        *_, size, start = _END_64.unpack(data)
    elif disk or first_disk:
        raise _broken("is one of several volumes")
    if start + size != end:
        raise _broken("has a directory that is not where it should be")
    return start, end


def _member_at(source: ArchiveSource, at: int) -> tuple[_Member, int]:
    """Return the member whose record begins at `at`, and where its record ends.

    Raises:
        ArchiveError: `format`.
    """
    data = source.at(at, _MEMBER.size)
    if len(data) < _MEMBER.size or not data.startswith(b"PK\x01\x02"):
        raise _broken("has a damaged directory")
    fields = _MEMBER.unpack(data)
    lengths = fields[11:14]
    variable = source.at(at + _MEMBER.size, sum(lengths))
    member = _member(fields, variable[: lengths[0]], variable[lengths[0] : lengths[0] + lengths[1]])
    return member, at + _MEMBER.size + sum(lengths)


def _member(fields: tuple[int, ...], name: bytes, extra: bytes) -> _Member:
    flags, method, crc, packed, size = fields[4], fields[5], *fields[8:11]
    attributes, offset = fields[16:18]
    if _IN_EXTRA in {size, packed, offset}:
        wide = _extra(extra, 1)
        size, packed, offset = _widened((size, packed, offset), struct.unpack_from(f"<{len(wide) // 8}Q", wide))
    system = fields[2]
    unicode_name = _unicode_name(extra, name) if not flags & _UTF_8 else b""
    return _Member(offset, name, flags, method, crc, packed, size, attributes >> 16, system, unicode_name)


def _widened(values: tuple[int, ...], wide: tuple[int, ...]) -> list[int]:
    """Put the 64-bit values where the 32-bit ones say that there is one."""
    if values.count(_IN_EXTRA) > len(wide):
        raise _broken("has a damaged directory")
    following = iter(wide)
    return [next(following) if value == _IN_EXTRA else value for value in values]


def _unicode_name(extra: bytes, name: bytes) -> bytes:
    """Return the name that the Unicode Path field (APPNOTE 4.6.9) gives; empty where the field is of another name."""
    field = _extra(extra, 0x7075)
    if len(field) <= _UNICODE_PATH.size or _UNICODE_PATH.unpack_from(field) != (1, zlib.crc32(name)):
        return b""
    return field[_UNICODE_PATH.size :]


def _extra(extra: bytes, wanted: int) -> bytes:
    """Return the content of the first extra field of a kind; empty for none."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == wanted:
            return extra[at : at + length]
        at += length
    return b""


def _broken(reason: str) -> ArchiveError:
    return refusal(reason, limit="format")
