"""Reads a log in the order in which it was written, also while it grows, and from another process."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

import attrs

from botdock.model.logs import GapReason, LogChunk, LogGap, Stream
from botdock.services.log_store.index import OpenSegment, stream_bytes
from botdock.services.log_store.layout import RECORD, STREAMS, Kind, Record, index_name, newest_segment
from botdock.services.log_store.tally import read_removed, sealed

Entry = LogChunk | LogGap
_TEXT = re.compile(r"[0-9a-f]{1,16}(\.[0-9a-f]{1,16}){7}", re.ASCII)


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

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what `position_text` made a text of.

        Raises:
            ValueError: It is not such a text.
        """
        if not _TEXT.fullmatch(text):
            raise ValueError(f"{text[:100]!r} is not a position in a log")
        segment, record, *told, out, err, out_ns, err_ns = (int(part, 16) for part in text.split("."))
        times = zip(STREAMS, (out_ns, err_ns), strict=True)
        return cls(
            segment=segment,
            record=record,
            done=dict(zip(STREAMS, (out, err), strict=True)),
            told=(told[0], told[1]),
            in_line={stream: time_ns - 1 for stream, time_ns in times if time_ns},
        )


def position_text(
    place: tuple[int, int], *, done: Mapping[Stream, int], told: tuple[int, int], in_line: Mapping[Stream, int]
) -> str:
    """Return the position of a segment and a record as a short text; the rest is as in `Position`."""
    out, err = STREAMS
    return (
        f"{place[0]:x}.{place[1]:x}.{told[0]:x}.{told[1]:x}.{done[out]:x}.{done[err]:x}."
        f"{in_line.get(out, -1) + 1:x}.{in_line.get(err, -1) + 1:x}"
    )


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
        FileNotFoundError: There is no such folder.
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
            yield from self._rest(self._open)
            next_index = self._directory / index_name(self._open.number + 1)
            if not (next_index.exists() or self._open.removed):
                return
            yield from self._rest(self._open)  # what came before the log went on there: nothing can come behind it
            self.place = (self._open.number + 1, 0)
            self.close()

    def _rest(self, segment: OpenSegment) -> Iterator[Entry]:
        for record in segment.records():
            self.mark, self.place = self.place, (segment.number, segment.record)
            stream, gap = record.stream, record.gap
            left_out = max(self.done[stream] - self.seen[stream], 0)
            if gap is None:
                self.seen[stream] += record.length
                if stream in self._streams:
                    for piece in segment.bytes_of(record, min(left_out, record.length)):
                        yield LogChunk(stream, piece, record.time_ns)
            elif stream in self._streams and not left_out and self.mark >= self.start.told:
                yield gap

    def _enter(self) -> Iterator[LogGap]:
        """Open the segment that is to be read, unless it is still to come."""
        while self._open is None:
            yield from self._skip_removed()
            try:
                self._open = OpenSegment(self._directory, *self.place, streams=self._streams)
            except FileNotFoundError as error:
                if self._is_to_come(Path(error.filename)):
                    return

    def _is_to_come(self, missing: Path) -> bool:
        """Return whether a file is missing because the log has not gone on so far; False to look again.

        Raises:
            ValueError: It is missing for no good reason.
        """
        number = self.place[0]
        if read_removed(self._directory)[0] > number or missing.exists():
            return False
        if any((self._directory / index_name(other)).exists() for other in (number, number + 1)):
            raise ValueError(f"{missing.name.removesuffix('.gz')} is missing")
        return True

    def _skip_removed(self) -> Iterator[LogGap]:
        """Go to the first segment that is kept, and yield what lies between."""
        segments, removed = read_removed(self._directory)
        if segments <= self.place[0]:
            return
        self.mark, self.place = self.place, (segments, 0)
        before, self.seen = self.seen, {stream: tally.bytes for stream, tally in removed.streams.items()}
        for stream in self._streams:
            if (size := self.seen[stream] - max(self.done[stream], before[stream])) > 0:
                yield LogGap(stream=stream, size=size, until_ns=removed.last_ns, reason=GapReason.REMOVED)

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


def _bytes_before(directory: Path, place: Position) -> dict[Stream, int]:
    """Return how many bytes of each stream lie before a place, those that were removed too.

    Of a place that was removed itself, what is left out is known, or else what was removed with it.
    """
    segments, removed = read_removed(directory)
    counts = {stream: tally.bytes for stream, tally in removed.streams.items()}
    if segments > place.segment:
        return dict(place.done or counts)
    try:
        for number in range(segments, place.segment):
            for stream, size in segment_bytes(directory, number).items():
                counts[stream] += size
        with closing(OpenSegment(directory, place.segment, place.record, streams=())) as segment:
            return {stream: size + segment.offsets[stream] for stream, size in counts.items()}
    except FileNotFoundError:  # removed meanwhile, or not begun yet
        return dict(place.done or counts)


def segment_bytes(directory: Path, number: int) -> dict[Stream, int]:
    """Return how many bytes of each stream a segment holds: by its seal, or by its index where it has none."""
    if tally := sealed(directory, number):
        return {stream: counts.bytes for stream, counts in tally.streams.items()}
    with closing(OpenSegment(directory, number, None, streams=())) as segment:
        return segment.offsets


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
