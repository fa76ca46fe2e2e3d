"""The central directory of a zip archive (PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from botdock.archive._entry import Entry, Kind
from botdock.archive._limits import ArchiveLimits
from botdock.archive._names import check_text
from botdock.archive._refusal import refusal
from botdock.archive._source import Source
from botdock.archive._tar_header import decoded
from botdock.errors import ArchiveError

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_MEMBER = struct.Struct("<4s2B5H3L5H2L")
_EXTRA = struct.Struct("<2H")

_MAX_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF
"""Stands in a 32-bit field whose value is in the zip64 extra field."""

UTF_8 = 0x800
"""Flag: the name is UTF-8."""


class Member(NamedTuple):
    """What the central directory says of an entry; offsets are from the start of the archive."""

    offset: int
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int

    @property
    def text(self) -> str:
        """The name as text: UTF-8 where it can be, marked so or not, else the code page of the first PCs."""
        try:
            return self.name.decode("utf-8")
        except UnicodeDecodeError:
            return decoded(self.name) if self.flags & UTF_8 else self.name.decode("cp437")


class _Directory(NamedTuple):
    start: int
    size: int


def read_directory(source: Source, limits: ArchiveLimits) -> tuple[list[tuple[int, int]], int]:
    """Return where each member's content and record are, in the order of content, and where the last content must end.

    Raises:
        ArchiveError: `truncated`, `format`, or `entries`.
    """
    directory = _locate(source)
    members: list[tuple[int, int]] = []
    for at, member in _members(source, directory):
        if len(members) >= limits.entries:
            reason = f"is one too many; {limits.entries} entries are allowed"
            raise refusal(reason, limit=f"entries={limits.entries}", entry=member.text)
        check_text(member.text, Entry(name=member.text, kind=Kind.FILE), limits)  # before thousands are kept
        members.append((member.offset, at))
    members.sort()
    return members, directory.start


def _locate(source: Source) -> _Directory:
    """Find the directory by the record at the end, behind which only its own comment may stand."""
    start = max(0, source.size - _END.size - _MAX_COMMENT)
    tail = source.at(start, _END.size + _MAX_COMMENT)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and len(tail) - at >= _END.size:
        record = _END.unpack_from(tail, at)
        if at + _END.size + record[7] == len(tail):
            return _checked(_directory(source, start + at, record), source)
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise refusal("has no directory at its end", limit="truncated")


def _directory(source: Source, end: int, record: tuple[int, ...]) -> tuple[_Directory, int]:
    """Return the directory, and where it must end: before the record, or before its 64-bit forerunner."""
    _, disk, first_disk, _, _, size, start, _ = record
    locator = source.at(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if not locator.startswith(b"PK\x06\x07"):
        if disk or first_disk:
            raise _broken("is one of several volumes")
        return _Directory(start, size), end
    _, _, end, _ = _LOCATOR.unpack(locator)
    data = source.at(end, _END_64.size) if end < source.size else b""
    if len(data) < _END_64.size or not data.startswith(b"PK\x06\x06"):
        raise _broken("has a damaged directory")
    *_, size, start = _END_64.unpack(data)
    return _Directory(start, size), end


def _checked(found: tuple[_Directory, int], source: Source) -> _Directory:
    directory, end = found
    if directory.start + directory.size != end or end > source.size:
        raise _broken("has a directory that is not where it should be")
    return directory


def _members(source: Source, directory: _Directory) -> Iterator[tuple[int, Member]]:
    at, end = directory.start, directory.start + directory.size
    while at < end:
        member, behind = member_at(source, at)
        if behind > end:
            raise _broken("has a damaged directory")
        yield at, member
        at = behind


def member_at(source: Source, at: int) -> tuple[Member, int]:
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


def _member(fields: tuple[int, ...], name: bytes, extra: bytes) -> Member:
    flags, method, crc, packed, size = fields[4], fields[5], *fields[8:11]
    attributes, offset = fields[16:18]
    if _IN_EXTRA in {size, packed, offset}:
        size, packed, offset = _widened((size, packed, offset), _zip64(extra))
    return Member(offset, name, flags, method, crc, packed, size, attributes >> 16)


def _widened(values: tuple[int, ...], wide: tuple[int, ...]) -> list[int]:
    """Put the 64-bit values where the 32-bit ones say that there is one."""
    if values.count(_IN_EXTRA) > len(wide):
        raise _broken("has a damaged directory")
    following = iter(wide)
    return [next(following) if value == _IN_EXTRA else value for value in values]


def _zip64(extra: bytes) -> tuple[int, ...]:
    """Return the 64-bit values of the zip64 extra field: those that are wanted, in the order size, packed, offset."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        if kind == 1:
            count = min(length, len(extra) - at - _EXTRA.size) // 8
            return struct.unpack_from(f"<{count}Q", extra, at + _EXTRA.size)
        at += _EXTRA.size + length
    return ()


def _broken(reason: str) -> ArchiveError:
    return refusal(reason, limit="format")
