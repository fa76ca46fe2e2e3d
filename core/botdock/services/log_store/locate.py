"""Where in a log a time begins or ends, and where its last lines or bytes do: found without reading the rest.

Seals and indexes tell it, and the bytes at the end. What is compressed is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import attrs

from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store.files import open_data
from botdock.services.log_store.layout import STREAMS, data_name, newest_segment
from botdock.services.log_store.places import Block, IndexFile, Position, sealed, segment_bytes, zeros
from botdock.services.log_store.reader import LogReader
from botdock.services.log_store.retention import read_removed

_WINDOW = 64 * 1024
"""Bytes of the end that are looked at first for the last lines; each time they are not enough, `_GROWTH` times more."""
_GROWTH = 4


def time_position(directory: Path, since_ns: int, *, streams: Collection[Stream] = STREAMS) -> Position:
    """Return the first record that is not older than a time; a line that is open there is too old, and of no time.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    removed, _ = read_removed(directory)
    newest = newest_segment(directory)
    if newest is None:
        return Position()
    for number in range(removed, newest + 1):
        tally = sealed(directory, number)
        if tally and tally.last_ns < since_ns:
            continue
        place = _first_not_before(directory, number, since_ns)
        if place is not None:
            break
    else:
        with IndexFile(directory, newest) as index:
            place = Position(segment=newest, record=index.records, offsets=index.totals())
    return attrs.evolve(place, in_line=dict.fromkeys(_in_line(directory, place, streams), 0))


def behind(directory: Path, until_ns: int) -> tuple[int, int]:
    """Return the segment, and how many of its records, behind which nothing that is stored is as old as a time.

    Raises:
        OSError: The log cannot be read.
    """
    for number in _backwards(directory):
        tally = sealed(directory, number)
        if tally and tally.first_ns > until_ns:
            continue
        try:
            with IndexFile(directory, number) as index:
                last = _last_not_after(index, until_ns)
        except FileNotFoundError:  # removed meanwhile
            break
        if last is not None:
            return number, last + 1
    return 0, 0


def end_position(directory: Path, size: int, *, streams: Collection[Stream] = STREAMS) -> Position | None:
    """Return a place behind which so many bytes of these streams lie, one more chunk at most; None if all kept do not.

    Only indexes are read, from the end, and no more of them than those bytes need; the newest is counted, too.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    for number in _backwards(directory):
        try:
            with IndexFile(directory, number) as index:
                offsets = index.totals()
                for block in index.blocks_backwards():
                    there = block.size_of(streams)
                    if there >= size:
                        return _back_from_end(number, block, offsets, size, streams)
                    size -= there
                    offsets = {stream: offsets[stream] - block.bytes_of(stream) for stream in STREAMS}
        except FileNotFoundError:  # removed meanwhile
            break
    return None


def tail_position(
    directory: Path, count: int, *, streams: Collection[Stream] = STREAMS, count_open: bool = True
) -> Position:
    """Return from where on a log has to be read to get its last lines, in the order of their newlines.

    Reads a few times what those lines take, and not more of the log, unless one of them began long ago.

    Args:
        directory: Of the log.
        count: How many lines.
        streams: Of which streams; others are skipped.
        count_open: Whether an unterminated line at the end of a stream is one of them; if not, it comes besides.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    size = _WINDOW
    while (place := end_position(directory, size, streams=streams)) is not None:
        tail = _Tail(directory, place, streams)
        if tail.find(count, count_open=count_open, in_line=_in_line(directory, place, streams)):
            return attrs.evolve(place, skip=tail.skip)
        size *= _GROWTH
    place = Position(segment=read_removed(directory)[0])
    tail = _Tail(directory, place, streams)
    tail.find(count, count_open=count_open, in_line=frozenset())
    return attrs.evolve(place, skip=tail.skip)


class _Tail:
    """The last lines of what lies behind a place.

    Attributes:
        skip: How many bytes of each stream lie before them.
    """

    def __init__(self, directory: Path, place: Position, streams: Collection[Stream]) -> None:
        self.skip = zeros()
        self._directory, self._streams = directory, streams
        self._place = attrs.evolve(place, seen=zeros())  # what lies before need not be counted here

    def find(self, count: int, *, count_open: bool, in_line: Collection[Stream]) -> bool:
        """Find them; return whether they are all there, none of them begun before the place.

        Args:
            count: How many.
            count_open: Whether an unterminated line is one of them.
            in_line: Of which streams the first one was begun before the place.
        """
        newlines, is_open, sizes = 0, dict.fromkeys(STREAMS, False) | dict.fromkeys(in_line, True), zeros()
        for chunk in self._chunks():
            newlines += chunk.data.count(b"\n")
            is_open[chunk.stream] = not chunk.data.endswith(b"\n")
            sizes[chunk.stream] += len(chunk.data)
        opened = [stream for stream in STREAMS if is_open[stream] and count_open]
        surplus = newlines + len(opened) - count
        self._leave_out(min(surplus, newlines))
        for stream in opened[: max(surplus - newlines, 0)]:
            self.skip[stream] = sizes[stream]
        return surplus >= 0 and all(self.skip[stream] for stream in in_line)

    def _leave_out(self, surplus: int) -> None:
        """Skip so many lines."""
        sizes = zeros()
        for chunk in self._chunks():
            if surplus <= 0:
                return
            stream, newlines = chunk.stream, chunk.data.count(b"\n")
            end = chunk.data.rfind(b"\n")
            if newlines > surplus:
                end = -1
                for _ in range(surplus):
                    end = chunk.data.index(b"\n", end + 1)
            if newlines:
                self.skip[stream] = sizes[stream] + end + 1
            sizes[stream] += len(chunk.data)
            surplus -= newlines

    def _chunks(self) -> Iterator[LogChunk]:
        with LogReader(self._directory, self._place, streams=self._streams) as reader:
            yield from (entry for entry in reader.read() if isinstance(entry, LogChunk))


def _backwards(directory: Path) -> range:
    """Return the numbers of the segments that are kept, the newest first."""
    newest = newest_segment(directory)
    return range(-1 if newest is None else newest, read_removed(directory)[0] - 1, -1)


def _back_from_end(
    number: int, block: Block, offsets: dict[Stream, int], size: int, streams: Collection[Stream]
) -> Position:
    """Return the place in a block behind which so many of its bytes lie."""
    offsets, record = dict(offsets), block.first + len(block)
    for at in range(len(block) - 1, -1, -1):
        if size <= 0:
            break
        record = block.first + at
        if (chunk := block.chunk(at)) is not None:
            offsets[chunk[0]] -= chunk[1]
            size -= chunk[1] if chunk[0] in streams else 0
    return Position(segment=number, record=record, offsets=offsets)


def _first_not_before(directory: Path, number: int, since_ns: int) -> Position | None:
    offsets = zeros()
    with IndexFile(directory, number) as index:
        for block in index.blocks():
            found = next((at for at, time_ns in enumerate(block.times()) if time_ns >= since_ns), None)
            for stream in STREAMS:
                offsets[stream] += block.bytes_of(stream, found)
            if found is not None:
                return Position(segment=number, record=block.first + found, offsets=offsets)
    return None


def _last_not_after(index: IndexFile, until_ns: int) -> int | None:
    for block in index.blocks_backwards():
        times = block.times()
        found = next((at for at in range(len(times) - 1, -1, -1) if times[at] <= until_ns), None)
        if found is not None:
            return block.first + found
    return None


def _in_line(directory: Path, place: Position, streams: Collection[Stream]) -> frozenset[Stream]:
    """Return the streams of which the last byte before a place is not a newline."""
    return frozenset(stream for stream in streams if _byte_before(directory, place, stream) not in {b"\n", b""})


def _byte_before(directory: Path, place: Position, stream: Stream) -> bytes:
    size = place.offsets[stream]
    for number in range(place.segment, read_removed(directory)[0] - 1, -1):
        size = size if number == place.segment else segment_bytes(directory, number)[stream]
        if size:
            with open_data(directory, data_name(stream, number)) as file:
                file.seek(size - 1)
                return file.read(1)
    return b""
