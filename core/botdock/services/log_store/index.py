"""One segment that is read: its index, in blocks and record by record, and the bytes that records are about."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import compress
from pathlib import Path

from botdock.model.logs import Stream
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    Kind,
    Record,
    data_name,
    index_name,
    open_data,
    pieces,
)

_AT_ONCE = 4096
_WORDS = RECORD.size // 4
_LENGTH, _TAG_BYTE = 3, 8


_DATA_TAGS = {stream: Kind.DATA << 1 | number for number, stream in enumerate(STREAMS)}
_IS_DATA = {stream: bytes(byte == tag for byte in range(256)) for stream, tag in _DATA_TAGS.items()}
"""By stream, from the lowest byte of a tag to whether the record is of data of it."""


def stream_bytes(packed: bytes, stream: Stream) -> int:
    """Return how many bytes of a stream these records are about; by columns: a million of them take milliseconds."""
    words = array("I", packed)
    if sys.byteorder == "big":
        words.byteswap()
    return sum(compress(words[_LENGTH::_WORDS], packed[_TAG_BYTE :: RECORD.size].translate(_IS_DATA[stream])))


class OpenSegment:
    """The files of one segment, read from a record on.

    Args:
        directory: Of the log.
        number: Of the segment.
        record: How many records lie before; None for all that there are.
        streams: Of which streams bytes are wanted.

    Attributes:
        offsets: Bytes of each stream in this segment before that record.

    Raises:
        FileNotFoundError: The segment is not there, or no longer.
    """

    def __init__(
        self, directory: Path, number: int, record: int | None = 0, *, streams: Collection[Stream] = STREAMS
    ) -> None:
        self.number = number
        with ExitStack() as stack:
            self._index = stack.enter_context((directory / index_name(number)).open("rb", buffering=0))
            self._files = {
                stream: stack.enter_context(open_data(directory, data_name(stream, number))) for stream in streams
            }
            self.record = self.size if record is None else record
            self.offsets = self._offsets()
            for stream, file in self._files.items():
                if self.offsets[stream]:
                    file.seek(self.offsets[stream])
            self._opened = stack.pop_all()

    @property
    def removed(self) -> bool:
        """Whether retention has removed it, although it can still be read here."""
        return os.fstat(self._index.fileno()).st_nlink == 0

    @property
    def size(self) -> int:
        """How many records it has now."""
        return os.fstat(self._index.fileno()).st_size // RECORD.size

    def _offsets(self) -> dict[Stream, int]:
        counts, end = dict.fromkeys(STREAMS, 0), min(self.record, self.size)
        for first in range(0, end, _AT_ONCE):
            packed = self._packed(first, min(end - first, _AT_ONCE))
            for stream in STREAMS:
                counts[stream] += stream_bytes(packed, stream)
        return counts

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield all of its records in blocks, each with how many lie before it."""
        return ((first, self._packed(first, _AT_ONCE)) for first in range(0, self.size, _AT_ONCE))

    def blocks_backwards(self) -> Iterator[tuple[int, bytes]]:
        """Yield the same, the last block first."""
        for end in range(self.size, 0, -_AT_ONCE):
            first = max(end - _AT_ONCE, 0)
            yield first, self._packed(first, end - first)

    def records(self) -> Iterator[Record]:
        """Yield the records that have come since the last call, or what can be read of them.

        Raises:
            ValueError: What lies there is not a record.
        """
        while packed := self._packed(self.record, _AT_ONCE):
            for fields in RECORD.iter_unpack(packed):
                self.record += 1
                try:
                    yield Record.of(*fields)
                except ValueError:
                    raise ValueError(f"{index_name(self.number)} is damaged in record {self.record - 1}") from None

    def bytes_of(self, record: Record, skip: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a record, as a rule in one piece; without those that are skipped.

        The records of a stream must be taken one after the other.

        Raises:
            ValueError: The file ends before.
        """
        file, left = self._files[record.stream], record.length - skip if record.kind is Kind.DATA else 0
        if skip:
            file.seek(skip, os.SEEK_CUR)
        for piece in pieces(file, left):
            left -= len(piece)
            yield piece
        if left > 0:
            name = data_name(record.stream, self.number)
            raise ValueError(f"{name} ends {left} bytes before what its index says in record {self.record - 1}")

    def _packed(self, first: int, count: int) -> bytes:
        """Return so many records, or as many as there are; one that is half there is read next time."""
        packed = os.pread(self._index.fileno(), count * RECORD.size, first * RECORD.size)
        return packed[: len(packed) - len(packed) % RECORD.size]

    def close(self) -> None:
        """Close the files."""
        self._opened.close()
