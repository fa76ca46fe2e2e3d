"""The index of one segment, read by columns: counting what a million records say takes milliseconds this way."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Self

from botdock.model.logs import Stream
from botdock.services.log_store.layout import RECORD, STREAMS, Kind, index_name

_AT_ONCE = 1024
_WORDS = RECORD.size // 4
_TIME, _LENGTH, _TAG_BYTE = 0, 3, 8


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
