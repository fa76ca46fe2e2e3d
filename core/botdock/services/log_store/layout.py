"""The names and the forms of the files of a log.

`stdout.<n>` and `stderr.<n>` hold exactly the bytes that are stored of a stream in segment `n`, so that `grep`, `tail`
and `sha256sum` work on them. `index.<n>` holds a record per chunk, which gives back order and time, proves the chunk,
and names what is missing; a byte counts as stored once its record is there. `segment.<n>.json`, the seal, is written
when the log goes on in the next segment, `end.json` when nothing more will come, and `removed.json` when retention has
removed the oldest segments.
"""

from __future__ import annotations

import json
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import Any

import attrs

from botdock.model.logs import GapReason, LogGap, Stream

RECORD = struct.Struct("<QIII")
"""Nanoseconds since the epoch; tag; length; CRC-32 of the chunk's bytes.

The tag's lowest bit is the stream, the next seven are the `Kind`, and the rest is how many secrets were masked.
"""
VERSION = 1
STREAMS = (Stream.STDOUT, Stream.STDERR)
END = "end.json"
REMOVED = "removed.json"
LARGEST_LENGTH = 2**32 - 1
LARGEST_MASKED = 2**24 - 1

_NUMBERS = {stream: number for number, stream in enumerate(STREAMS)}
_MILLION = 1_000_000
_STREAM_BITS = 1
_MASKED_SHIFT = 8
_KIND_MASK = 0x7F


class Kind(IntEnum):
    """What a record is about."""

    DATA = 0
    """A chunk that is stored; its length in bytes."""
    LOST = 1
    """Bytes that the engine no longer had; their number."""
    SPAN = 2
    """The same, of a number that nobody knows; the time they span, in milliseconds."""
    LIMIT = 3
    """Bytes that came after the output limit; their number."""


@attrs.frozen
class Record:
    """One record of the index.

    Attributes:
        time_ns: When it was seen, nanoseconds since the epoch; of a gap, when it began.
        stream: Of which stream.
        kind: What it is about.
        length: Bytes, or milliseconds of a `SPAN`.
        crc: CRC-32 of the bytes of a chunk.
        masked: How many secrets were masked in it.
    """

    time_ns: int
    stream: Stream
    kind: Kind
    length: int
    crc: int = 0
    masked: int = 0

    def pack(self) -> bytes:
        """Return it as it lies in the index."""
        tag = _NUMBERS[self.stream] | self.kind << _STREAM_BITS | self.masked << _MASKED_SHIFT
        return RECORD.pack(self.time_ns, tag, self.length, self.crc)

    @classmethod
    def of(cls, time_ns: int, tag: int, length: int, crc: int) -> Record:
        """Return the record of these four numbers.

        Raises:
            ValueError: They are no record.
        """
        kind = Kind(tag >> _STREAM_BITS & _KIND_MASK)
        return cls(time_ns, STREAMS[tag & 1], kind, length, crc, tag >> _MASKED_SHIFT)

    @property
    def gap(self) -> LogGap | None:
        """The gap that it names, or None for a chunk."""
        if self.kind is Kind.DATA:
            return None
        if self.kind is Kind.SPAN:
            until = self.time_ns + self.length * _MILLION
            return LogGap(stream=self.stream, size=None, since_ns=self.time_ns, until_ns=until)
        reason = GapReason.LIMIT if self.kind is Kind.LIMIT else GapReason.LOST
        return LogGap(stream=self.stream, size=self.length, since_ns=self.time_ns, reason=reason)


def records_of(gap: LogGap) -> list[Record]:
    """Return the records that name a gap: more than one when it is larger than a record can say."""
    if gap.size is None:
        span = min(max(gap.until_ns - gap.since_ns, 0) // _MILLION, LARGEST_LENGTH)
        return [Record(gap.since_ns, gap.stream, Kind.SPAN, span)]
    kind = Kind.LIMIT if gap.reason is GapReason.LIMIT else Kind.LOST
    whole, rest = divmod(gap.size, LARGEST_LENGTH)
    return [Record(gap.since_ns, gap.stream, kind, size) for size in [LARGEST_LENGTH] * whole + [rest] if size]


def data_name(stream: Stream, segment: int) -> str:
    """Return the name of the file that holds the bytes of a stream."""
    return f"{stream}.{segment}"


def index_name(segment: int) -> str:
    """Return the name of the file that holds the records."""
    return f"index.{segment}"


def seal_name(segment: int) -> str:
    """Return the name of the file that says that nothing more is added to a segment."""
    return f"segment.{segment}.json"


def compressed_name(name: str) -> str:
    """Return the name of a file once it is compressed."""
    return f"{name}.gz"


def newest_segment(directory: Path) -> int | None:
    """Return the number of the segment that was begun last, or None when there is no log."""
    names = (path.name.split(".") for path in directory.iterdir() if path.name.startswith(("index.", *STREAMS)))
    return max((int(name[1]) for name in names if len(name) > 1 and name[1].isdigit()), default=None)


def read_document(path: Path) -> dict[str, Any] | None:
    """Return a JSON document, or None when there is none, or half of one that a power cut left.

    Raises:
        OSError: It cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document so that a crash leaves the old one or the new one, and a power cut too.

    Raises:
        OSError: The disk took no more.
    """
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe from a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
