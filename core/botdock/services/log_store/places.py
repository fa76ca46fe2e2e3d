"""Places in a log, and the indexes that tell them.

An index is read by columns: counting what a million records say takes milliseconds this way.
"""

from __future__ import annotations

import os
import re
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping
from itertools import compress
from pathlib import Path
from typing import Self

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.layout import RECORD, STREAMS, Kind, index_name, read_document, seal_name
from botdock.services.log_store.tally import Tally

_AT_ONCE = 1024
_TEXT = re.compile(r"[0-9a-f]{1,16}(\.[0-9a-f]{1,16}){11}", re.ASCII)
_WORDS = RECORD.size // 4
_TIME, _LENGTH, _TAG_BYTE = 0, 3, 8


Counts = Mapping[Stream, int]
Mark = tuple[int, int, Counts, Counts | None]
"""A segment, how many of its records lie before, their bytes of each stream, and those of the whole log before it."""


def zeros() -> dict[Stream, int]:
    """Return no bytes of each stream."""
    return dict.fromkeys(STREAMS, 0)


@attrs.frozen(kw_only=True)
class Position:
    """A place in a log: between two records of one segment, and what is left out behind it.

    Attributes:
        segment: Number of the segment.
        record: How many records of it lie before.
        offsets: How many bytes of each stream in this segment those are about.
        skip: How many bytes of each stream behind it are left out, also where they end in a later segment; gaps among
            them are left out too.
        seen: How many bytes of each stream the whole log has before it, those that were removed too; None where that
            has to be found out.
        told: The segment and the record before which gaps are left out.
        in_line: The streams that are, behind what is left out, in the middle of a line, and the time of that line.
    """

    segment: int = 0
    record: int = 0
    offsets: Mapping[Stream, int] = attrs.field(factory=zeros)
    skip: Mapping[Stream, int] = attrs.field(factory=zeros)
    seen: Mapping[Stream, int] | None = None
    told: tuple[int, int] = (0, 0)
    in_line: Mapping[Stream, int] = attrs.field(factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what `position_text` made a text of.

        Raises:
            ValueError: It is not such a text.
        """
        if not _TEXT.fullmatch(text):
            raise ValueError(f"{text[:100]!r} is not a position in a log")
        segment, record, *told = (numbers := [int(part, 16) for part in text.split(".")])[:4]
        offsets, skip, seen, times = (dict(zip(STREAMS, numbers[at : at + 2], strict=True)) for at in range(4, 12, 2))
        in_line = {stream: time_ns - 1 for stream, time_ns in times.items() if time_ns}
        return cls(
            segment=segment,
            record=record,
            offsets=offsets,
            skip=skip,
            seen=seen,
            told=(told[0], told[1]),
            in_line=in_line,
        )


def position_text(place: Mark, *, done: Counts, told: tuple[int, int], in_line: Counts) -> str:
    """Return, as a short text, the position in which a log is read from a place on.

    Args:
        place: The place.
        done: Bytes of each stream in the whole log that are left out.
        told: As in `Position`.
        in_line: As in `Position`.
    """
    segment, record, offsets, known = place
    seen, (out, err) = known or zeros(), STREAMS
    return (
        f"{segment:x}.{record:x}.{told[0]:x}.{told[1]:x}.{offsets[out]:x}.{offsets[err]:x}."
        f"{max(done[out] - seen[out], 0):x}.{max(done[err] - seen[err], 0):x}.{seen[out]:x}.{seen[err]:x}."
        f"{in_line.get(out, -1) + 1:x}.{in_line.get(err, -1) + 1:x}"
    )


def _is_data(stream: Stream) -> bytes:
    """Return a table from the lowest byte of a tag to whether the record is of data of this stream."""
    wanted = Kind.DATA << 1 | STREAMS.index(stream)
    return bytes(byte == wanted for byte in range(256))


_TABLES = {stream: _is_data(stream) for stream in STREAMS}


class Block:
    """Some records that lie one behind the other.

    Args:
        first: How many records of the segment lie before.
        packed: The records.
    """

    def __init__(self, first: int, packed: bytes) -> None:
        self.first = first
        self._packed = packed
        words = array("I", packed)
        if sys.byteorder == "big":
            words.byteswap()
        self._lengths = words[_LENGTH::_WORDS]
        self._tags = packed[_TAG_BYTE :: RECORD.size]

    def __len__(self) -> int:
        """Return how many records."""
        return len(self._tags)

    def size_of(self, streams: Collection[Stream]) -> int:
        """Return how many bytes of these streams they are about."""
        return sum(self.bytes_of(stream) for stream in streams)

    def bytes_of(self, stream: Stream, count: int | None = None) -> int:
        """Return how many bytes of a stream the first `count` of them are about, or all of them."""
        chosen = self._tags[:count].translate(_TABLES[stream])
        return sum(compress(self._lengths, chosen))

    def chunk(self, at: int) -> tuple[Stream, int] | None:
        """Return stream and length of the chunk that one of them is about, or None where it is about no chunk."""
        stream = next((stream for stream in STREAMS if _TABLES[stream][self._tags[at]]), None)
        return None if stream is None else (stream, self._lengths[at])

    def times(self) -> list[int]:
        """Return their times, nanoseconds since the epoch."""
        return [fields[_TIME] for fields in RECORD.iter_unpack(self._packed)]


class IndexFile:
    """The index of a segment, as long as it was when it was opened.

    Raises:
        FileNotFoundError: The segment is not there, or no longer.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self._file = (directory / index_name(number)).open("rb", buffering=0)
        self.records = os.fstat(self._file.fileno()).st_size // RECORD.size

    def totals(self) -> dict[Stream, int]:
        """Return how many bytes of each stream it is about."""
        totals = dict.fromkeys(STREAMS, 0)
        for block in self.blocks(64 * _AT_ONCE):
            for stream in STREAMS:
                totals[stream] += block.bytes_of(stream)
        return totals

    def blocks(self, size: int = _AT_ONCE) -> Iterator[Block]:
        """Yield its records."""
        for first in range(0, self.records, size):
            yield self._block(first, min(size, self.records - first))

    def blocks_backwards(self, size: int = _AT_ONCE) -> Iterator[Block]:
        """Yield its records, the last block first."""
        for end in range(self.records, 0, -size):
            first = max(end - size, 0)
            yield self._block(first, end - first)

    def _block(self, first: int, count: int) -> Block:
        packed = os.pread(self._file.fileno(), count * RECORD.size, first * RECORD.size)
        return Block(first, packed[: len(packed) - len(packed) % RECORD.size])

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()


def sealed(directory: Path, number: int) -> Tally | None:
    """Return what the seal of a segment says that is in it, or None where it has none."""
    seal = read_document(directory / seal_name(number))
    return None if seal is None else Tally.from_json(seal)


def segment_bytes(directory: Path, number: int) -> dict[Stream, int]:
    """Return how many bytes of each stream a segment holds: by its seal, or by its index where it has none."""
    if tally := sealed(directory, number):
        return {stream: counts.bytes for stream, counts in tally.streams.items()}
    with IndexFile(directory, number) as index:
        return index.totals()
