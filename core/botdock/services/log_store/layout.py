"""The names and the forms of the files of a log.

`stdout.<n>` and `stderr.<n>` hold exactly the bytes that are stored of a stream in segment `n`, so that `grep`, `tail`
and `sha256sum` work on them. `index.<n>` holds a record per chunk, which gives back order and time, proves the chunk,
and names what is missing; a byte counts as stored once its record is there. `segment.<n>.json`, the seal, is written
when the log goes on in the next segment, `end.json` when nothing more will come, and `removed.json` when retention has
removed the oldest segments.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from enum import IntEnum
from pathlib import Path
from typing import Any

import attrs

from botdock._whole_files import publish
from botdock.model.logs import GapReason, LogGap, Stream

RECORD = struct.Struct("<QIII")
"""Nanoseconds since the epoch; tag; length; CRC-32 of these three as they lie here, and the chunk's bytes behind them.

The tag's lowest bit is the stream, the next seven are the `Kind`, and the rest is how many secrets were masked.
"""
HEAD = struct.Struct("<QII")
"""A record without its CRC."""
VERSION = 1
STREAMS = (Stream.STDOUT, Stream.STDERR)
END = "end.json"
REMOVED = "removed.json"
DRAFT_SUFFIX = ".tmp"
LARGEST_LENGTH = 2**32 - 1
LARGEST_TIME = 2**64 - 1
LARGEST_MASKED = 2**24 - 1

_CHECK = "check"
_NAME = re.compile(r"(?:(?:stdout|stderr)\.(\d+)(?:\.gz)?|index\.(\d+)|segment\.(\d+)\.json)", re.ASCII)
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
        crc: What proves it, and the bytes of its chunk.
        masked: How many secrets were masked in it.
    """

    time_ns: int
    stream: Stream
    kind: Kind
    length: int
    crc: int = 0
    masked: int = 0

    @classmethod
    def proving(cls, data: bytes, *, time_ns: int, stream: Stream, masked: int) -> Record:
        """Return the record of a chunk."""
        bare = cls(min(max(time_ns, 0), LARGEST_TIME), stream, Kind.DATA, len(data), 0, min(masked, LARGEST_MASKED))
        return cls(bare.time_ns, stream, Kind.DATA, bare.length, zlib.crc32(data, bare.head_crc), bare.masked)

    @property
    def head(self) -> bytes:
        """All of it but the CRC, as it lies in the index."""
        tag = _NUMBERS[self.stream] | self.kind << _STREAM_BITS | self.masked << _MASKED_SHIFT
        return HEAD.pack(self.time_ns, tag, self.length)

    @property
    def head_crc(self) -> int:
        """The CRC of that: with it begins that of the bytes, and it is the whole one of a gap."""
        return zlib.crc32(self.head)

    def pack(self) -> bytes:
        """Return it as it lies in the index."""
        return self.head + self.crc.to_bytes(4, "little")

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
    since_ns = min(max(gap.since_ns, 0), LARGEST_TIME)
    if gap.size is None:
        kind, sizes = Kind.SPAN, [min(max(gap.until_ns - since_ns, 0) // _MILLION, LARGEST_LENGTH)]
    else:
        kind = Kind.LIMIT if gap.reason is GapReason.LIMIT else Kind.LOST
        whole, rest = divmod(gap.size, LARGEST_LENGTH)
        sizes = [LARGEST_LENGTH] * whole + [rest] * bool(rest)
    bare = [Record(since_ns, gap.stream, kind, size) for size in sizes]
    return [attrs.evolve(record, crc=record.head_crc) for record in bare]


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


def draft_name(name: str) -> str:
    """Return the name of a file as long as it is not whole."""
    return f".{name}{DRAFT_SUFFIX}"


def is_draft(name: str) -> bool:
    """Return whether a file of this name is not whole yet, and never will be once its writer has died."""
    return name.startswith(".") and name.endswith(DRAFT_SUFFIX)


def segment_of(name: str) -> int | None:
    """Return the number of the segment that a file of this name belongs to, or None for any other file."""
    found = _NAME.fullmatch(name)
    number = next(filter(None, found.groups())) if found else None
    return None if number is None or str(int(number)) != number else int(number)


def newest_segment(directory: Path) -> int | None:
    """Return the number of the segment that was begun last, or None when there is no log."""
    names = [name for name in os.listdir(directory) if not name.startswith("segment.")]  # noqa: PTH208 - only names
    return max((number for name in names if (number := segment_of(name)) is not None), default=None)


def read_document(path: Path) -> dict[str, Any] | None:
    """Return a JSON document, or None when there is none, or one that is damaged.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return parse_document(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def parse_document(raw: bytes) -> dict[str, Any]:
    """Return the document that `write_document` made these bytes of, without its proof.

    Raises:
        ValueError: They are not exactly what it made.
    """
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what is wrong is the file
    found.pop(_CHECK, None)
    if raw != _packed(found):
        raise ValueError("it does not fit the hash that it carries of itself")
    return found


def _packed(document: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(json.dumps(document).encode()).hexdigest()
    return json.dumps({**document, _CHECK: digest}, indent=1).encode()


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document so that a crash leaves the old one or the new one, and a power cut too.

    A hash of the rest is added to it, so that it proves itself.

    Raises:
        OSError: The disk took no more.
    """
    publish(path, _packed(document), draft=path.with_name(draft_name(path.name)))
