"""The files of a log: their names, what is in them, and how they are opened, compressed and removed.

`stdout.<n>` and `stderr.<n>` hold exactly the bytes that are stored of a stream in segment `n`, so that `grep`, `tail`
and `sha256sum` work on them. `index.<n>` holds a record per chunk, which gives back order and time, proves the chunk,
and names what is missing; a byte counts as stored once its record is there. `segment.<n>.json`, the seal, is written
when the log goes on in the next segment, `end.json` when nothing more will come, and `removed.json` when retention has
removed the oldest segments.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import secrets
import shutil
import struct
import sys
import zlib
from array import array
from collections.abc import Container, Iterator
from enum import IntEnum
from itertools import compress
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import attrs

from botdock._whole_files import publish, replacing
from botdock.model.logs import GapReason, LogGap, Stream

RECORD = struct.Struct("<QIII")
"""Nanoseconds since the epoch; tag; length; CRC-32 of these three as they lie here, and the chunk's bytes behind them.

The tag's lowest bit is the stream, the next seven are the `Kind`, and the rest is how many secrets were masked.
"""
VERSION = 1
STREAMS = (Stream.STDOUT, Stream.STDERR)
END = "end.json"
REMOVED = "removed.json"
LARGEST_LENGTH = 2**32 - 1
PIECE = 1024 * 1024
"""Bytes that are read of a file at once."""
UNREADABLE = (ValueError, EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a damaged file raises, beside an `OSError`."""

_LEVEL = 1
"""Of gzip: lines shrink to a tenth with the quickest, and the bots want the processors."""
_HEAD = struct.Struct("<QII")
_CHECK = "check"
_DRAFT = ".tmp"
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
    """The same, of an unknown number; the time they span, in milliseconds."""
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
        masked: How many secrets were masked in it.
        crc: Of one that was read: what proves it, and the bytes of its chunk.
    """

    time_ns: int
    stream: Stream
    kind: Kind
    length: int
    masked: int = 0
    crc: int = 0

    @property
    def head(self) -> bytes:
        """All of it but the CRC, as it lies in the index."""
        tag = _NUMBERS[self.stream] | self.kind << _STREAM_BITS | self.masked << _MASKED_SHIFT
        return _HEAD.pack(self.time_ns, tag, self.length)

    def proof(self, data: bytes = b"") -> int:
        """Return the CRC of that, and of the bytes of its chunk behind it."""
        return zlib.crc32(data, zlib.crc32(self.head))

    def pack(self, data: bytes = b"") -> bytes:
        """Return it as it lies in the index, with the proof of the bytes of its chunk."""
        head = self.head
        return head + zlib.crc32(data, zlib.crc32(head)).to_bytes(4, "little")

    @classmethod
    def of(cls, time_ns: int, tag: int, length: int, crc: int) -> Self:
        """Return the record of these four numbers.

        Raises:
            ValueError: They are not a record.
        """
        kind = Kind(tag >> _STREAM_BITS & _KIND_MASK)
        if kind is Kind.DATA and not length:  # as zeros say, which a power cut may leave
            raise ValueError("a chunk has bytes")
        return cls(time_ns, STREAMS[tag & 1], kind, length, tag >> _MASKED_SHIFT, crc)

    @property
    def gap(self) -> LogGap:
        """The gap that it names, of one that is not about a chunk."""
        if self.kind is Kind.SPAN:
            until = self.time_ns + self.length * _MILLION
            return LogGap(stream=self.stream, size=None, since_ns=self.time_ns, until_ns=until)
        reason = GapReason.LIMIT if self.kind is Kind.LIMIT else GapReason.LOST
        return LogGap(stream=self.stream, size=self.length, since_ns=self.time_ns, reason=reason)


_DATA_TAGS = {stream: Kind.DATA << 1 | number for number, stream in enumerate(STREAMS)}
_IS_DATA = {stream: bytes(byte == tag for byte in range(256)) for stream, tag in _DATA_TAGS.items()}
"""By stream, from the lowest byte of a tag to whether the record is of data of it."""
_WORDS, _LENGTH, _TAG_BYTE = RECORD.size // 4, 3, 8


def stream_bytes(packed: bytes, stream: Stream) -> int:
    """Return how many bytes of a stream these records are about; by columns: a million of them take milliseconds."""
    words = array("I", packed)
    if sys.byteorder == "big":
        words.byteswap()
    return sum(compress(words[_LENGTH::_WORDS], packed[_TAG_BYTE :: RECORD.size].translate(_IS_DATA[stream])))


def records_of(gap: LogGap) -> list[Record]:
    """Return the records that name a gap: more than one when it is larger than a record can say."""
    since_ns = max(gap.since_ns, 0)
    if gap.size is None:
        kind, sizes = Kind.SPAN, [min(max(gap.until_ns - since_ns, 0) // _MILLION, LARGEST_LENGTH)]
    else:
        kind = Kind.LIMIT if gap.reason is GapReason.LIMIT else Kind.LOST
        whole, rest = divmod(gap.size, LARGEST_LENGTH)
        sizes = [LARGEST_LENGTH] * whole + [rest] * bool(rest)
    return [Record(since_ns, gap.stream, kind, size) for size in sizes]


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


def is_draft(name: str) -> bool:
    """Return whether a file of this name is not whole yet, and never will be once its writer has died."""
    return name.startswith(".") and name.endswith(_DRAFT)


def segment_of(name: str) -> int | None:
    """Return the number of the segment that a file of this name belongs to, or None for any other file."""
    found = _NAME.fullmatch(name)
    number = next(filter(None, found.groups())) if found else None
    return None if number is None or str(int(number)) != number else int(number)


def newest_segment(directory: Path) -> int | None:
    """Return the number of the segment that was begun last, or None when there is no log."""
    names = [name for name in os.listdir(directory) if not name.startswith("segment.")]  # noqa: PTH208 - only names
    return max((number for name in names if (number := segment_of(name)) is not None), default=None)


def remove_segments(directory: Path, numbers: Container[int]) -> None:
    """Remove the files of some segments."""
    for name in os.listdir(directory):  # noqa: PTH208 - only names
        if (number := segment_of(name)) is not None and number in numbers:
            (directory / name).unlink(missing_ok=True)


def open_data(directory: Path, name: str) -> BinaryIO:
    """Open a file of a log to read its content from the beginning; one that is compressed is unpacked on the way.

    What was not asked for is not read ahead: behind the last record, it may change.

    Raises:
        FileNotFoundError: Retention has removed it.
        OSError: It cannot be read.
    """
    try:
        return cast("BinaryIO", (directory / name).open("rb", buffering=0))
    except FileNotFoundError:
        return cast("BinaryIO", gzip.open(directory / compressed_name(name), "rb"))


def pieces(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, or all that is left of it, in pieces; fewer where it ends before."""
    while size is None or size > 0:
        piece = file.read(PIECE if size is None else min(size, PIECE))
        if not piece:
            return
        size = None if size is None else size - len(piece)
        yield piece


def compress_segment(directory: Path, number: int) -> None:
    """Compress the files with the bytes of a sealed segment; the index stays as it is, to be read from any place.

    A crash leaves the plain file, or both, or the compressed one; a reader takes the plain one as long as it is there.
    No other is locked out: two may compress the same segment, and others may remove it or take over the log.

    Raises:
        OSError: The disk took no more, or a collector that took the log over swept what was not whole; the plain file
            stays.
    """
    for stream in STREAMS:
        path = directory / data_name(stream, number)
        try:
            source = path.open("rb")
        except FileNotFoundError:  # compressed or removed meanwhile
            continue
        with source:
            _compress(source, directory / compressed_name(path.name))
        path.unlink(missing_ok=True)
    removed = read_document(directory / REMOVED)
    if removed and removed["segments"] > number:  # meanwhile: what was made since then belongs to nothing
        remove_segments(directory, {number})


def _compress(source: BinaryIO, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_DRAFT}")
    with (
        replacing(target, draft=draft) as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, PIECE)


def read_document(path: Path) -> dict[str, Any] | None:
    """Return a JSON document, or None when there is none, or one that is damaged."""
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


def write_document(path: Path, document: dict[str, Any], *, named: bool = True) -> None:
    """Write a JSON document so that a crash leaves the old one or the new one, and a power cut too.

    A hash of the rest is added to it, so that it proves itself. Unless it is `named`, the next one in the folder brings
    its name to the disk.
    """
    publish(path, _packed(document), named=named, draft=path.with_name(f".{path.name}{_DRAFT}"))
