"""Where in a log a time begins or ends, and where its last bytes do: told by seals and indexes, without the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from botdock.model.logs import Stream
from botdock.services.log_store.columns import IndexFile
from botdock.services.log_store.files import AnywhereFile
from botdock.services.log_store.layout import STREAMS, data_name, newest_segment, read_document, seal_name
from botdock.services.log_store.reader import Position
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.tally import Tally


def time_position(
    directory: Path, since_ns: int, *, streams: Collection[Stream] = STREAMS
) -> tuple[Position, frozenset[Stream]]:
    """Return the first record that is not older than a time, and the streams that are in the middle of a line there.

    Only seals and indexes are read, and one byte of each stream.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    removed, _ = read_removed(directory)
    newest = newest_segment(directory)
    if newest is None:
        return Position(), frozenset()
    for number in range(removed, newest + 1):
        tally = sealed(directory, number)
        if tally and tally.last_ns < since_ns:
            continue
        place = _first_not_before(directory, number, since_ns)
        if place is not None:
            return place, _in_line(directory, place, removed, streams)
    with IndexFile(directory, newest) as index:
        place = Position(segment=newest, record=index.records, offsets=index.totals())
    return place, _in_line(directory, place, removed, streams)


def behind(directory: Path, until_ns: int) -> tuple[int, int]:
    """Return the segment, and how many of its records, behind which nothing that is stored is as old as a time.

    Raises:
        OSError: The log cannot be read.
    """
    newest = newest_segment(directory)
    for number in range(-1 if newest is None else newest, read_removed(directory)[0] - 1, -1):
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


def end_position(directory: Path, size: int) -> Position:
    """Return a place behind which `size` bytes of both streams lie, or all that is kept; one more chunk at most.

    Only indexes are read, from the end, and no more of them than those bytes need; the newest is counted, too.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    place = Position()
    first, _ = read_removed(directory)
    newest = newest_segment(directory)
    for number in range(-1 if newest is None else newest, first - 1, -1):
        if size <= 0:
            break
        try:
            with IndexFile(directory, number) as index:
                place, size = _back_from_end(number, index, size)
        except FileNotFoundError:  # removed meanwhile
            break
    return place


def _back_from_end(number: int, index: IndexFile, size: int) -> tuple[Position, int]:
    """Return the place in one segment behind which `size` bytes lie, or its begin; and how many bytes lack then."""
    offsets, record = index.totals(), index.records
    for block in index.blocks_backwards():
        for at in range(len(block) - 1, -1, -1):
            if size <= 0:
                return Position(segment=number, record=record, offsets=offsets), size
            record = block.first + at
            if (chunk := block.chunk(at)) is not None:
                offsets[chunk[0]] -= chunk[1]
                size -= chunk[1]
    return Position(segment=number, record=record, offsets=offsets), size


def sealed(directory: Path, number: int) -> Tally | None:
    """Return what the seal of a segment says that is in it, or None where it has none."""
    seal = read_document(directory / seal_name(number))
    return None if seal is None else Tally.from_json(seal)


def _first_not_before(directory: Path, number: int, since_ns: int) -> Position | None:
    offsets = dict.fromkeys(STREAMS, 0)
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


def _in_line(directory: Path, place: Position, first: int, streams: Collection[Stream]) -> frozenset[Stream]:
    return frozenset(
        stream for stream in streams if ends_in_line(directory, stream, segments_back(directory, place, first, stream))
    )


def segments_back(directory: Path, place: Position, first: int, stream: Stream) -> Iterator[tuple[int, int]]:
    """Yield the segments up to a place, the newest first, and how many bytes of the stream each holds up to there."""
    yield place.segment, place.offsets[stream]
    for number in range(place.segment - 1, first - 1, -1):
        yield number, _totals(directory, number)[stream]


def _totals(directory: Path, number: int) -> dict[Stream, int]:
    tally = sealed(directory, number)
    if tally:
        return {stream: counts.bytes for stream, counts in tally.streams.items()}
    with IndexFile(directory, number) as index:
        return index.totals()


def ends_in_line(directory: Path, stream: Stream, ends: Iterator[tuple[int, int]]) -> bool:
    """Return whether the last byte that these segments hold of a stream is no newline."""
    for number, size in ends:
        if size:
            with AnywhereFile(directory, data_name(stream, number)) as file:
                return file.read_at(size - 1, 1) not in {b"\n", b""}
    return False
