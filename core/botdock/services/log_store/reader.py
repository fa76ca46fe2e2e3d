"""Reads a log in the order in which it was written, also while it grows, and from another process."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from botdock.model.logs import GapReason, LogChunk, LogGap, Stream
from botdock.services.log_store.files import PIECE, open_data
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    Record,
    data_name,
    index_name,
)
from botdock.services.log_store.places import Mark, Position, segment_bytes, zeros
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.tally import Tally

Entry = LogChunk | LogGap
_RECORDS_AT_ONCE = 4096


class OpenSegment:
    """The files of one segment, read from a place on.

    Args:
        directory: Of the log.
        start: The place.
        streams: Of which streams bytes are wanted.

    Raises:
        FileNotFoundError: The segment is not there, or no longer.
    """

    def __init__(self, directory: Path, start: Position, streams: Collection[Stream] = STREAMS) -> None:
        self.number = start.segment
        self.record = start.record
        with ExitStack() as stack:
            self._index = stack.enter_context((directory / index_name(self.number)).open("rb", buffering=0))
            self._files = {
                stream: stack.enter_context(open_data(directory, data_name(stream, self.number))) for stream in streams
            }
            for stream, file in self._files.items():
                file.seek(start.offsets[stream])
            self._opened = stack.pop_all()

    @property
    def removed(self) -> bool:
        """Whether retention has removed it, although it can still be read here."""
        return os.fstat(self._index.fileno()).st_nlink == 0

    def records(self) -> Iterator[Record]:
        """Yield the records that have come since the last call, or what can be read of them.

        Raises:
            ValueError: What lies there is no record.
        """
        while packed := os.pread(self._index.fileno(), _RECORDS_AT_ONCE * RECORD.size, self.record * RECORD.size):
            packed = packed[: len(packed) - len(packed) % RECORD.size]  # one that is half there is read next time
            if not packed:
                return
            for fields in RECORD.iter_unpack(packed):
                self.record += 1
                yield self._record(fields)

    def _record(self, fields: tuple[int, int, int, int]) -> Record:
        try:
            return Record.of(*fields)
        except ValueError:
            raise ValueError(f"{index_name(self.number)} is damaged in record {self.record - 1}") from None

    def bytes_of(self, record: Record, skip: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a record of data, as a rule in one piece; without those that are skipped.

        The records of a stream must be taken one after the other.

        Raises:
            ValueError: The file ends before.
        """
        file = self._files[record.stream]
        if skip:
            file.seek(skip, os.SEEK_CUR)
        left = record.length - skip
        while left > 0:
            piece = file.read(min(left, PIECE))
            if not piece:
                name = data_name(record.stream, self.number)
                raise ValueError(f"{name} ends {left} bytes before what its index says in record {self.record - 1}")
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


class LogReader:
    """Reads a log from a place on.

    Args:
        directory: Where a `LogWriter` writes or wrote.
        start: The place; None for the first byte that is kept.
        streams: Which streams are read; of others, neither bytes nor gaps are.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """

    def __init__(
        self, directory: Path, start: Position | None = None, *, streams: Collection[Stream] = STREAMS
    ) -> None:
        self._directory = directory
        self._streams = tuple(stream for stream in STREAMS if stream in streams)
        self._next = start or Position()
        self._skip = dict(self._next.skip)
        self._open: OpenSegment | None = None
        directory.stat()
        seen = self._next.seen or (_bytes_before(directory, self._next) if start else zeros())
        self.mark: Mark = (self._next.segment, self._next.record, self._next.offsets, seen)
        """Before the record that was read last; of what was removed, before that."""
        self._offsets, self._seen, self._told = self._next.offsets, seen, self._next.told

    @property
    def place(self) -> tuple[int, int]:
        """Up to where it has read: a segment, and how many of its records."""
        return (self._next.segment, self._open.record if self._open else self._next.record)

    @property
    def seen(self) -> Mapping[Stream, int]:
        """How many bytes of each stream the whole log has up to there."""
        return self._seen or zeros()

    def seen_besides(self, streams: Collection[Stream]) -> dict[Stream, int]:
        """Return the same of all streams but these."""
        return {stream: self.seen[stream] for stream in STREAMS if stream not in streams}

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
            yield from self._rest(self._open)
            following = self._following()
            if following is None:
                return
            yield from self._rest(self._open)  # what came before the log went on there: nothing can come behind it
            self.close()
            self._next, self._offsets = Position(segment=following), zeros()

    def _rest(self, segment: OpenSegment) -> Iterator[Entry]:
        for record in segment.records():
            stream, before = record.stream, segment.record - 1
            self.mark = (segment.number, before, self._offsets, self._seen)
            gap = record.gap
            if gap is None:
                self._offsets = {**self._offsets, stream: self._offsets[stream] + record.length}
                self._seen = self._seen and {**self._seen, stream: self._seen[stream] + record.length}
            if stream not in self._streams:
                continue
            if gap is None:
                yield from self._chunks(segment, record)
            elif not self._skip[stream] and (segment.number, before) >= self._told:
                yield gap

    def _chunks(self, segment: OpenSegment, record: Record) -> Iterator[LogChunk]:
        stream = record.stream
        skipped = min(self._skip[stream], record.length)
        self._skip[stream] -= skipped
        for piece in segment.bytes_of(record, skipped):
            yield LogChunk(stream, piece, record.time_ns)

    def _enter(self) -> Iterator[LogGap]:
        """Open the segment that is to be read, unless it is still to come."""
        while self._open is None:
            yield from self._skip_removed()
            try:
                self._open = OpenSegment(self._directory, self._next, self._streams)
            except FileNotFoundError as error:
                if self._is_to_come(Path(error.filename)):
                    return

    def _is_to_come(self, missing: Path) -> bool:
        """Return whether a file is missing because the log has not gone on so far; False to look again.

        Raises:
            ValueError: It is missing for no good reason.
        """
        number = self._next.segment
        if read_removed(self._directory)[0] > number or missing.exists():
            return False
        if any((self._directory / index_name(other)).exists() for other in (number, number + 1)):
            raise ValueError(f"{missing.name.removesuffix('.gz')} is missing")
        return True

    def _following(self) -> int | None:
        """Return the number of the segment that comes next, if it is there already, or no longer."""
        number = self._next.segment + 1
        there = (self._directory / index_name(number)).exists()
        return number if there or (self._open is not None and self._open.removed) else None

    def _skip_removed(self) -> list[LogGap]:
        """Go to the first segment that is kept, and return what lies between."""
        segments, removed = read_removed(self._directory)
        if segments <= self._next.segment:
            return []
        before, known = self._next, self._seen
        gaps = [self._removed(stream, removed) for stream in self._streams]
        self._next, self._offsets = Position(segment=segments), zeros()
        self._seen = {stream: tally.bytes for stream, tally in removed.streams.items()}
        self.mark = (segments, 0, self._offsets, self._seen)
        if known is not None:
            self.mark = (before.segment, before.record, before.offsets, known)
        return [gap for gap in gaps if gap.size != 0]

    def _removed(self, stream: Stream, removed: Tally) -> LogGap:
        size = None
        if self._seen is None:
            self._skip[stream] = 0
        else:
            whole = max(removed.streams[stream].bytes - self._seen[stream], 0)
            skipped = min(self._skip[stream], whole)
            self._skip[stream] -= skipped
            size = whole - skipped
        return LogGap(stream=stream, size=size, until_ns=removed.last_ns, reason=GapReason.REMOVED)

    def close(self) -> None:
        """Close the files."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _bytes_before(directory: Path, place: Position) -> dict[Stream, int] | None:
    """Return how many bytes of each stream lie before a place, those that were removed too; None for not known."""
    segments, removed = read_removed(directory)
    counts = {stream: tally.bytes for stream, tally in removed.streams.items()}
    if segments > place.segment:
        return None
    for number in range(segments, place.segment):
        try:
            totals = segment_bytes(directory, number)
        except FileNotFoundError:  # removed meanwhile
            return None
        counts = {stream: size + totals[stream] for stream, size in counts.items()}
    return {stream: size + place.offsets[stream] for stream, size in counts.items()}
