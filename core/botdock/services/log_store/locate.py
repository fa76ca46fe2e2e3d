"""Which lines of a log are asked for, and where they begin and end: found without reading the rest.

Seals and indexes tell it, and the bytes at the end. What is compressed is read from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import attrs

from botdock.model.logs import LogChunk, LogGap, LogLine, Stream
from botdock.services.log_store.layout import RECORD, STREAMS, data_name, open_data
from botdock.services.log_store.reader import LogReader, OpenSegment, Position, end_position, kept_backwards
from botdock.services.log_store.tally import read_removed, sealed

Item = LogLine | LogGap
_TEXT = re.compile(r"[0-9a-f]{1,16}(\.[0-9a-f]{1,16}){7}", re.ASCII)
_WINDOW = 64 * 1024
"""Bytes of the end that are looked at first for the last lines; each time they are not enough, `_GROWTH` times more."""
_GROWTH = 4


@attrs.frozen(kw_only=True)
class LineQuery:
    """Which lines.

    Attributes:
        tail: How many of the last of those that the rest allows, or None for all.
        since_ns: Of which time on, nanoseconds since the epoch; a line's time is that of its first byte.
        until_ns: Up to which time.
        streams: Of which streams.
        after: Behind which place, or None.
        positions: Whether items tell their position.
    """

    tail: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    streams: tuple[Stream, ...] = STREAMS
    after: Position | None = None
    positions: bool = False

    @property
    def timed(self) -> bool:
        """Whether a time bounds them."""
        return self.since_ns is not None or self.until_ns is not None

    @property
    def bounded(self) -> bool:
        """Whether not only a tail does."""
        return self.timed or self.after is not None

    def allows(self, item: Item) -> bool:
        """Return whether the times allow it; of a gap, whether it reaches into them. One of no known time always is."""
        first = last = item.time_ns if isinstance(item, LogLine) else item.since_ns
        if isinstance(item, LogGap):
            last = max(first, item.until_ns)
            if not last:
                return True
        late = self.until_ns is not None and first > self.until_ns
        return not (late or (self.since_ns is not None and last < self.since_ns))

    def start(self, directory: Path, *, count_open: bool) -> Position | None:
        """Return from where on to read a log; None for the first byte that is kept.

        Raises:
            OSError: The log cannot be read.
            ValueError: It is damaged.
        """
        if self.after is not None:
            return self.after
        if self.since_ns is not None:
            return time_position(directory, self.since_ns, streams=self.streams)
        if self.tail is not None and not self.bounded:
            return tail_position(directory, self, count_open=count_open)
        return None


def position_of(text: str) -> Position:
    """Return what `position_text` made a text of.

    Raises:
        ValueError: It is not such a text.
    """
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not a position in a log")
    segment, record, *told, out, err, out_ns, err_ns = (int(part, 16) for part in text.split("."))
    times = zip(STREAMS, (out_ns, err_ns), strict=True)
    return Position(
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


def time_position(directory: Path, since_ns: int, *, streams: Collection[Stream] = STREAMS) -> Position:
    """Return the first record that is not older than a time; a line that is open there is too old, and of no time.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    place, kept = Position(), kept_backwards(directory)
    for number in reversed(kept):
        tally = sealed(directory, number)
        if tally and tally.last_ns < since_ns and number != kept[0]:
            continue
        with suppress(FileNotFoundError), closing(OpenSegment(directory, number, streams=())) as segment:
            times = (fields[0] for _, packed in segment.blocks() for fields in RECORD.iter_unpack(packed))
            record = next((at for at, time_ns in enumerate(times) if time_ns >= since_ns), None)
            place = Position(segment=number, record=segment.size if record is None else record)
            if record is not None:
                break
    return attrs.evolve(place, in_line=dict.fromkeys(_in_line(directory, place, streams), 0))


def behind(directory: Path, until_ns: int) -> tuple[int, int]:
    """Return the segment, and how many of its records, behind which nothing that is stored is as old as a time."""
    for number in kept_backwards(directory):
        tally = sealed(directory, number)
        if tally and tally.first_ns > until_ns:
            continue
        with suppress(FileNotFoundError), closing(OpenSegment(directory, number, streams=())) as segment:
            if end := _end_of(segment, until_ns):
                return number, end
    return 0, 0


def _end_of(segment: OpenSegment, until_ns: int) -> int:
    """Return behind how many records none is as old as a time; 0 where none at all is."""
    for first, packed in segment.blocks_backwards():
        for at in range(len(packed), 0, -RECORD.size):
            if RECORD.unpack_from(packed, at - RECORD.size)[0] <= until_ns:
                return first + at // RECORD.size
    return 0


def tail_position(directory: Path, query: LineQuery, *, count_open: bool = True) -> Position:
    """Return from where on a log has to be read to get its last lines, in the order of their newlines.

    Reads a few times what those lines take, and not more of the log, unless one of them began long ago.

    Args:
        directory: Of the log.
        query: How many lines, and of which streams; others are skipped.
        count_open: Whether an unterminated line at the end of a stream is one of them; if not, it comes besides.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    size = _WINDOW
    while (place := end_position(directory, size, streams=query.streams)) is not None:
        done, are_all_there = _before_last_lines(directory, place, query, count_open=count_open)
        if are_all_there:
            return attrs.evolve(place, done=done)
        size *= _GROWTH
    place = Position(segment=read_removed(directory)[0])
    return attrs.evolve(place, done=_before_last_lines(directory, place, query, count_open=count_open)[0])


def _before_last_lines(
    directory: Path, place: Position, query: LineQuery, *, count_open: bool
) -> tuple[dict[Stream, int], bool]:
    """Return how many bytes of each stream lie before the last lines, and whether none of these began before a place.

    Of what lies before the place, nothing is looked at.
    """
    in_line = _in_line(directory, place, query.streams)
    newlines, is_open = 0, {stream: stream in in_line for stream in STREAMS}
    with closing(LogReader(directory, place, streams=query.streams)) as reader:
        before = dict(reader.seen)
        for chunk in _chunks(reader):
            newlines += chunk.data.count(b"\n")
            is_open[chunk.stream] = not chunk.data.endswith(b"\n")
    opened = [stream for stream in STREAMS if is_open[stream] and count_open]
    surplus = newlines + len(opened) - (query.tail or 0)
    done = _behind_lines(directory, place, query, min(surplus, newlines))
    done |= {stream: reader.seen[stream] for stream in opened[: max(surplus - newlines, 0)]}
    return done, surplus >= 0 and all(done[stream] > before[stream] for stream in in_line)


def _behind_lines(directory: Path, place: Position, query: LineQuery, count: int) -> dict[Stream, int]:
    """Return how many bytes of each stream lie before what follows so many lines behind a place."""
    with closing(LogReader(directory, place, streams=query.streams)) as reader:
        done, ends = dict(reader.seen), dict(reader.seen)
        for chunk in _chunks(reader):
            if count <= 0:
                break
            data, stream = chunk.data, chunk.stream
            newlines = data.count(b"\n")
            if newlines:
                rest = data.split(b"\n", count)[-1] if newlines > count else data[data.rindex(b"\n") + 1 :]
                done[stream] = ends[stream] + len(data) - len(rest)
            ends[stream] += len(data)
            count -= newlines
    return done


def _chunks(reader: LogReader) -> Iterator[LogChunk]:
    return (entry for entry in reader.read() if isinstance(entry, LogChunk))


def _in_line(directory: Path, place: Position, streams: Collection[Stream]) -> frozenset[Stream]:
    """Return the streams of which the last byte before a place is not a newline."""
    return frozenset(stream for stream in streams if _byte_before(directory, place, stream) not in {b"\n", b""})


def _byte_before(directory: Path, place: Position, stream: Stream) -> bytes:
    for number in range(place.segment, read_removed(directory)[0] - 1, -1):
        record = place.record if number == place.segment else None
        with suppress(FileNotFoundError), closing(OpenSegment(directory, number, record, streams=())) as segment:
            if size := segment.offsets[stream]:
                with open_data(directory, data_name(stream, number)) as file:
                    file.seek(size - 1)
                    return file.read(1)
    return b""
