"""Reads a log in the order in which it was written, also while it grows, and from another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import attrs

from botdock.model.logs import GapReason, LogChunk, LogGap, Stream
from botdock.services.log_store.files import open_data
from botdock.services.log_store.layout import (
    RECORD,
    REMOVED,
    STREAMS,
    Record,
    data_name,
    index_name,
    read_document,
)
from botdock.services.log_store.tally import Tally

Entry = LogChunk | LogGap
_RECORDS_AT_ONCE = 4096


@attrs.frozen(kw_only=True)
class Position:
    """A place in a log: between two records of one segment.

    Attributes:
        segment: Number of the segment.
        record: How many records of it lie before.
        offsets: How many bytes of each stream in this segment those are about; bytes of it may be skipped as well.
    """

    segment: int = 0
    record: int = 0
    offsets: dict[Stream, int] = attrs.field(factory=lambda: dict.fromkeys(STREAMS, 0))


class OpenSegment:
    """The files of one segment, read from a place on.

    Args:
        directory: Of the log.
        start: The place.

    Raises:
        FileNotFoundError: The segment is not there, or no longer.
    """

    def __init__(self, directory: Path, start: Position) -> None:
        self.number = start.segment
        self._position = start.record * RECORD.size
        with ExitStack() as stack:
            self._index = stack.enter_context((directory / index_name(self.number)).open("rb", buffering=0))
            self._files = {
                stream: stack.enter_context(open_data(directory, data_name(stream, self.number))) for stream in STREAMS
            }
            for stream, file in self._files.items():
                file.seek(start.offsets[stream])
            self._opened = stack.pop_all()

    def records(self) -> Iterator[Record]:
        """Yield the records that have come since the last call, or what can be read of them."""
        while True:
            self._index.seek(self._position)
            packed = self._index.read(_RECORDS_AT_ONCE * RECORD.size)
            packed = packed[: len(packed) - len(packed) % RECORD.size]  # one that is half there is read next time
            if not packed:
                return
            for fields in RECORD.iter_unpack(packed):
                self._position += RECORD.size
                yield Record.of(*fields)

    def bytes_of(self, record: Record) -> bytes:
        """Return the bytes of a record of data; the records of a stream must be taken one after the other."""
        return self._files[record.stream].read(record.length)

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


class LogReader:
    """Reads a log from a place on.

    Args:
        directory: Where a `LogWriter` writes or wrote.
        start: The place; None for the first byte that is kept.

    Raises:
        FileNotFoundError: There is no such folder.
    """

    def __init__(self, directory: Path, start: Position | None = None) -> None:
        self._directory = directory
        self._next = start or Position()
        self._seen = None if start else dict.fromkeys(STREAMS, 0)
        self._open: OpenSegment | None = None
        directory.stat()

    def read(self) -> Iterator[Entry]:
        """Yield the chunks and gaps that have come since the last call.

        Raises:
            OSError: A file cannot be read.
            ValueError: The index is damaged.
        """
        while True:
            if self._open is None:
                yield from self._skip_removed()
                if not self._open_next():
                    return
            following = self._following()  # asked before the rest is read: then nothing more can come behind it
            yield from self._rest()
            if following is None:
                return
            self.close()
            self._next = Position(segment=following)

    def _rest(self) -> Iterator[Entry]:
        assert self._open is not None, "opened before"  # noqa: S101 - for the type checker
        for record in self._open.records():
            if (gap := record.gap) is not None:
                yield gap
                continue
            data = self._open.bytes_of(record)
            if self._seen is not None:
                self._seen[record.stream] += len(data)
            if data:
                yield LogChunk(record.stream, data, record.time_ns)

    def _open_next(self) -> bool:
        try:
            self._open = OpenSegment(self._directory, self._next)
        except FileNotFoundError:
            return False
        return True

    def _following(self) -> int | None:
        """Return the number of the segment that comes next, if there is one already."""
        number = self._next.segment + 1
        if (self._directory / index_name(number)).exists():
            return number
        removed = read_document(self._directory / REMOVED)
        return int(removed["segments"]) if removed and int(removed["segments"]) > number else None

    def _skip_removed(self) -> Iterator[LogGap]:
        """Go to the first segment that is kept, and say what lies between."""
        document = read_document(self._directory / REMOVED)
        if document is None or int(document["segments"]) <= self._next.segment:
            return
        removed = Tally.from_json(document)
        self._next = Position(segment=int(document["segments"]))
        for stream, tally in removed.streams.items():
            size = None if self._seen is None else tally.bytes - self._seen[stream]
            if size != 0:
                yield LogGap(stream=stream, size=size, until_ns=removed.last_ns, reason=GapReason.REMOVED)
            if self._seen is not None:
                self._seen[stream] = tally.bytes

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
