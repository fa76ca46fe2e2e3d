"""What is wrong where a record and the bytes of its chunk do not fit each other."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.files import AnywhereFile
from botdock.services.log_store.findings import Finding
from botdock.services.log_store.layout import HEAD, RECORD, Kind, Record, data_name, index_name
from botdock.services.log_store.syndrome import single_bytes

LARGEST = 4 * 1024 * 1024
"""Bytes of a chunk up to which it is told which byte is wrong; what the engines deliver is far smaller."""
_OTHER_CHUNK = (8, *range(12, 16))
"""Bytes of a record that say which bytes it is about: the stream, the kind, the length."""
_CRC = range(16, 20)


@attrs.frozen(kw_only=True)
class Misfit:
    """A record that does not fit.

    Attributes:
        number: Of the segment.
        at: How many records lie before.
        packed: The record as it lies there.
        offsets: How many bytes of each stream lie before its chunk.
        sizes: How many bytes there are of each stream.
    """

    number: int
    at: int
    packed: bytes
    offsets: Mapping[Stream, int]
    sizes: Mapping[Stream, int]

    @property
    def record(self) -> Record | None:
        """The record, or None where it cannot be one."""
        return record_of(self.packed)

    def index_byte(self, place: int, was: int) -> Finding:
        """Return what is to be said when one byte of the record is wrong."""
        offset = self.at * RECORD.size + place
        return _one_byte(index_name(self.number), offset, self.packed[place], was, f"record {self.at}")

    def whole_record(self) -> Finding:
        """Return what is to be said when more of it is wrong."""
        return Finding(
            file=index_name(self.number),
            offset=self.at * RECORD.size,
            length=RECORD.size,
            problem=f"record {self.at} is damaged: it does not fit itself, or the bytes that it is about",
        )

    def whole_chunk(self, record: Record) -> Finding:
        """Return what is to be said when more than one byte of its chunk is wrong."""
        begin = self.offsets[record.stream]
        text = f"bytes {begin} to {begin + record.length - 1} are not what was stored (the chunk of record {self.at})"
        name = data_name(record.stream, self.number)
        return Finding(file=name, offset=begin, length=record.length, problem=text)


def record_of(packed: bytes) -> Record | None:
    """Return the record that lies there, or None where it is none."""
    try:
        return Record.of(*RECORD.unpack(packed))
    except ValueError:
        return None


def crc_of(record: Record, file: AnywhereFile, offset: int, size: int) -> int | None:
    """Return what the CRC of a record ought to be, or None where its bytes are not all there."""
    crc = record.head_crc
    if record.kind is not Kind.DATA:
        return crc
    if record.length > size - offset:
        return None
    for begin in range(offset, offset + record.length, LARGEST):
        crc = zlib.crc32(file.read_at(begin, min(LARGEST, offset + record.length - begin)), crc)
    return crc


def fits(misfit: Misfit, packed: bytes, files: Mapping[Stream, AnywhereFile]) -> bool:
    """Return whether another record would fit in its place."""
    record = record_of(packed)
    if record is None or (record.kind is Kind.DATA and not 0 < record.length <= LARGEST):
        return False
    stream = record.stream
    return crc_of(record, files[stream], misfit.offsets[stream], misfit.sizes[stream]) == record.crc


def mended(misfit: Misfit, files: Mapping[Stream, AnywhereFile]) -> tuple[int, bytes] | None:
    """Return which byte of the record is wrong, and the record as it was; None when it is not one byte of it."""
    return next((found for found in _other_records(misfit) if fits(misfit, found[1], files)), None) or _other_crc(
        misfit, files
    )


def _other_records(misfit: Misfit) -> Iterator[tuple[int, bytes]]:
    """Yield the records that differ from it in one byte; the CRC tells of those with another time."""
    for place in _OTHER_CHUNK:
        for value in range(256):
            if value != misfit.packed[place]:
                yield place, misfit.packed[:place] + bytes([value]) + misfit.packed[place + 1 :]


def _other_crc(misfit: Misfit, files: Mapping[Stream, AnywhereFile]) -> tuple[int, bytes] | None:
    """Return the record with the CRC, or with the head, that its bytes ask for, if that is one byte away."""
    record = misfit.record
    if record is None:
        return None
    stream = record.stream
    crc = crc_of(record, files[stream], misfit.offsets[stream], misfit.sizes[stream])
    if crc is None:
        return None
    right = misfit.packed[: _CRC.start] + crc.to_bytes(4, "little")
    places = [place for place in _CRC if right[place] != misfit.packed[place]]
    if len(places) == 1:
        return places[0], right
    behind = record.length if record.kind is Kind.DATA else 0
    if behind > LARGEST:
        return None
    in_head = (found for found in single_bytes(crc ^ record.crc, behind + HEAD.size) if found[0] < HEAD.size)
    found = next(in_head, None)
    if found is None:
        return None
    place, flipped = found
    value = bytes([misfit.packed[place] ^ flipped])
    return place, misfit.packed[:place] + value + misfit.packed[place + 1 :]


@attrs.frozen
class WrongByte:
    """A byte of a chunk that may be the one that is wrong.

    Attributes:
        offset: Of the stream's file.
        is_now: Its value.
        was: What it was when it was stored.
        record: How many records lie before that of its chunk.
    """

    offset: int
    is_now: int
    was: int
    record: int

    def finding(self, name: str) -> Finding:
        """Return what is to be said of it."""
        return _one_byte(name, self.offset, self.is_now, self.was, f"the chunk of record {self.record}")


def wrong_bytes(misfit: Misfit, files: Mapping[Stream, AnywhereFile]) -> list[WrongByte]:
    """Return each single byte of the chunk that alone may be wrong; none when it is more than one."""
    record = misfit.record
    if record is None or record.length > LARGEST:
        return []
    file, begin = files[record.stream], misfit.offsets[record.stream]
    crc = crc_of(record, file, begin, misfit.sizes[record.stream])
    if crc is None:
        return []
    data = file.read_at(begin, record.length)
    places = ((place - HEAD.size, bits) for place, bits in single_bytes(record.crc ^ crc, HEAD.size + record.length))
    return [WrongByte(begin + at, data[at], data[at] ^ bits, misfit.at) for at, bits in places if at >= 0]


def _one_byte(name: str, offset: int, is_now: int, was: int, where: str) -> Finding:
    text = f"byte {offset} is 0x{is_now:02x} and was 0x{was:02x} ({where})"
    return Finding(file=name, offset=offset, length=1, problem=text)
