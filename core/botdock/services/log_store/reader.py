"""Reads a log in the order in which it was written, also while it grows, and from another process."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import attrs

from botdock.model.logs import GapReason, LogChunk, LogGap, Stream
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    Kind,
    Record,
    data_name,
    index_name,
    newest_segment,
    open_data,
    pieces,
    stream_bytes,
)
from botdock.services.log_store.tally import read_removed, sealed

Entry = LogChunk | LogGap
_AT_ONCE = 4096


@attrs.frozen(kw_only=True)
class Position:
    """A place in a log: between two records of one segment, and what is left out behind it.

    Attributes:
        segment: Number of the segment.
        record: How many records of it lie before.
        seen: How many bytes of each stream the whole log has before it, those that were removed too; None to find
            that out.
        done: How many bytes of each stream, of the whole log from its first one on, are left out, and the gaps among
            them; None for those that lie before the record.
        told: The segment and the record before which gaps are left out.
        in_line: The streams that are, behind what is left out, in the middle of a line, and the time of that line.
    """

    segment: int = 0
    record: int = 0
    seen: Mapping[Stream, int] | None = None
    done: Mapping[Stream, int] | None = None
    told: tuple[int, int] = (0, 0)
    in_line: Mapping[Stream, int] = attrs.field(factory=dict)


class OpenSegment(ExitStack):
    """The files of one segment, read from a record on, until it is closed.

    Args:
        directory: Of the log.
        number: Of the segment; a `FileNotFoundError` says that it is not there, or no longer.
        record: How many records lie before; None for all that there are.
        streams: Of which streams bytes are wanted.

    Attributes:
        offsets: Bytes of each stream in this segment before that record.
    """

    def __init__(
        self, directory: Path, number: int, record: int | None = 0, *, streams: Collection[Stream] = STREAMS
    ) -> None:
        super().__init__()
        self.number = number
        self.offsets = dict.fromkeys(STREAMS, 0)
        try:
            self._index = self.enter_context((directory / index_name(number)).open("rb", buffering=0))
            self._files = {
                stream: self.enter_context(open_data(directory, data_name(stream, number))) for stream in streams
            }
            self.record = self.size if record is None else record
            if self.record:
                before = [packed for _, packed in self.blocks(self.record)]
                self.offsets = {stream: sum(stream_bytes(packed, stream) for packed in before) for stream in STREAMS}
                for stream, file in self._files.items():
                    file.seek(self.offsets[stream])
        except BaseException:
            self.close()
            raise

    @property
    def removed(self) -> bool:
        """Whether retention has removed it, although it can still be read here."""
        return os.fstat(self._index.fileno()).st_nlink == 0

    @property
    def size(self) -> int:
        """How many records it has now."""
        return os.fstat(self._index.fileno()).st_size // RECORD.size

    def blocks(self, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield its records, or those before one, in blocks, each with how many lie before it."""
        end = self.size if end is None else min(end, self.size)
        return ((first, self._packed(first, min(end - first, _AT_ONCE))) for first in range(0, end, _AT_ONCE))

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


class LogReader:
    """Reads a log from a place on.

    Args:
        directory: Where a `LogWriter` writes or wrote.
        start: The place; None for the first byte that is kept.
        streams: Which streams are read; of others, neither bytes nor gaps are.

    Attributes:
        start: The place.
        place: Up to where it has read: a segment, and how many of its records.
        mark: The same before the record that was read last; of what was removed, before that.
        seen: How many bytes of each stream the whole log has up to there, those that were removed too.
        done: How many of them were left out from the beginning on.

    Raises:
        FileNotFoundError: The folder is not there.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """

    def __init__(
        self, directory: Path, start: Position | None = None, *, streams: Collection[Stream] = STREAMS
    ) -> None:
        self._directory = directory
        self._streams = tuple(stream for stream in STREAMS if stream in streams)
        self._open: OpenSegment | None = None
        directory.stat()
        self.start = start or Position(seen=dict.fromkeys(STREAMS, 0))
        self.place = self.mark = self.start.segment, self.start.record
        self.seen = dict(self.start.seen or _bytes_before(directory, self.start))
        self.done = self.start.done or dict(self.seen)

    def read(self) -> Iterator[Entry]:
        """Yield the chunks and gaps that have come since the last call.

        Raises:
            OSError: A file cannot be read.
            ValueError: The log is damaged.
        """
        while True:
            yield from self._enter()
            if self._open is None:
                return
            next_index = self._directory / index_name(self._open.number + 1)
            is_closed = next_index.exists() or self._open.removed  # asked first: what is read then is all of it
            yield from self._rest(self._open)
            if not is_closed:
                return
            self.place = (self._open.number + 1, 0)
            self.close()

    def _rest(self, segment: OpenSegment) -> Iterator[Entry]:
        for record in segment.records():
            self.mark, self.place = self.place, (segment.number, segment.record)
            stream = record.stream
            left_out = max(self.done[stream] - self.seen[stream], 0)
            if record.kind is Kind.DATA:
                self.seen[stream] += record.length
                if stream in self._streams:
                    for piece in segment.bytes_of(record, min(left_out, record.length)):
                        yield LogChunk(stream, piece, record.time_ns)
            elif stream in self._streams and not left_out and self.mark >= self.start.told:
                yield record.gap

    def _enter(self) -> Iterator[LogGap]:
        """Open the segment that is to be read, unless it is still to come; yield what was removed before it."""
        while self._open is None:
            segments, removed = read_removed(self._directory)
            if segments > self.place[0]:
                self.mark, self.place = self.place, (segments, 0)
                before, self.seen = self.seen, {stream: tally.bytes for stream, tally in removed.streams.items()}
                for stream in self._streams:
                    if (size := self.seen[stream] - max(self.done[stream], before[stream])) > 0:
                        yield LogGap(stream=stream, size=size, until_ns=removed.last_ns, reason=GapReason.REMOVED)
            try:
                self._open = OpenSegment(self._directory, *self.place, streams=self._streams)
            except FileNotFoundError as error:
                if self._is_to_come(Path(error.filename)):
                    return

    def _is_to_come(self, missing: Path) -> bool:
        """Return whether a file is missing because the log has not gone on so far; False to look again."""
        number = self.place[0]
        if read_removed(self._directory)[0] > number or missing.exists():
            return False
        if any((self._directory / index_name(other)).exists() for other in (number, number + 1)):
            raise ValueError(f"{missing.name.removesuffix('.gz')} is missing")
        return True

    def close(self) -> None:
        """Close the files."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _bytes_before(directory: Path, place: Position) -> dict[Stream, int]:
    """Return how many bytes of each stream lie before a place, those that were removed too.

    Of a place that was removed itself, what is left out is known, or else what was removed with it.
    """
    segments, removed = read_removed(directory)
    counts = {stream: tally.bytes for stream, tally in removed.streams.items()}
    if segments > place.segment:
        return dict(place.done or counts)
    with suppress(FileNotFoundError):  # removed meanwhile, or not begun yet
        for number in range(segments, place.segment + 1):
            is_last = number == place.segment
            if not is_last and (tally := sealed(directory, number)):
                sizes = {stream: tally.streams[stream].bytes for stream in STREAMS}
            else:
                with closing(OpenSegment(directory, number, place.record if is_last else None, streams=())) as segment:
                    sizes = segment.offsets
            counts = {stream: size + sizes[stream] for stream, size in counts.items()}
        return counts
    return dict(place.done or counts)


def kept_backwards(directory: Path) -> range:
    """Return the numbers of the segments that are kept, the newest first."""
    newest = newest_segment(directory)
    return range(-1 if newest is None else newest, read_removed(directory)[0] - 1, -1)


def end_position(directory: Path, size: int, *, streams: Collection[Stream] = STREAMS) -> Position | None:
    """Return a place behind which so many bytes of these streams lie, one more chunk at most; None if all kept do not.

    Only indexes are read, from the end, and no more of them than those bytes need.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    for number in kept_backwards(directory):
        with suppress(FileNotFoundError), closing(OpenSegment(directory, number, streams=())) as segment:
            for first, packed in segment.blocks_backwards():
                there = sum(stream_bytes(packed, stream) for stream in streams)
                if there >= size:
                    place = Position(segment=number, record=first + _before_last(packed, size, streams))
                    return attrs.evolve(place, seen=_bytes_before(directory, place))
                size -= there
    return None


def _before_last(packed: bytes, size: int, streams: Collection[Stream]) -> int:
    """Return how many of these records lie before their last `size` bytes."""
    at = len(packed)
    while size > 0:
        at -= RECORD.size
        record = Record.of(*RECORD.unpack_from(packed, at))
        size -= record.length if record.kind is Kind.DATA and record.stream in streams else 0
    return at // RECORD.size
