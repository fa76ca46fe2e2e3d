"""Where the last lines of a log begin: found from its end, without reading the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.columns import Block, IndexFile
from botdock.services.log_store.files import AnywhereFile
from botdock.services.log_store.layout import STREAMS, data_name, newest_segment
from botdock.services.log_store.locate import ends_in_line, sealed, segments_back
from botdock.services.log_store.reader import Position
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.tally import StreamTally

_Files = Mapping[Stream, AnywhereFile]
_PIECE = 256 * 1024
_AT_ONCE = 1024 * 1024
"""Bytes of a block of records up to which their newlines are counted together, before the records are looked at."""


def tail_position(
    directory: Path, count: int, *, streams: Collection[Stream] = STREAMS, count_open: bool = True
) -> Position:
    """Return from where on a log has to be read to get its last lines, in the order of their newlines.

    Reads backwards, and no more than those lines; memory stays the same however many and however long they are.

    Args:
        directory: Of the log.
        count: How many lines.
        streams: Of which streams; others are skipped.
        count_open: Whether an unterminated line at the end of a stream is one of them; if not, it comes besides.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    return _Backwards(directory, count, streams).run(count_open=count_open)


@attrs.define
class _Reach:
    """How far back of one stream is needed.

    Attributes:
        passed: Bytes of it between here and the end.
        needed: How many of them are needed.
        in_line: Whether the line that begins with the first of those may begin further ahead.
    """

    passed: int = 0
    needed: int = 0
    in_line: bool = False


class _Backwards:
    """Goes from the end towards the beginning until the first byte of each line that is wanted is found.

    Args:
        directory: Of the log.
        count: How many lines are wanted.
        streams: Of which streams.
    """

    def __init__(self, directory: Path, count: int, streams: Collection[Stream]) -> None:
        self._directory = directory
        self._left = count
        self._reach = {stream: _Reach() for stream in STREAMS}
        self._streams = [stream for stream in STREAMS if stream in streams]
        self._place = Position()
        self._passed_at_place = dict.fromkeys(STREAMS, 0)

    def run(self, *, count_open: bool) -> Position:
        """Return the place."""
        first, _ = read_removed(self._directory)
        newest = newest_segment(self._directory)
        if newest is None:
            return self._place
        with IndexFile(self._directory, newest) as index:
            totals = index.totals()
            self._place = Position(segment=newest, record=index.records, offsets=totals)
            self._open_lines(first, count_open=count_open)
            self._segment(newest, index, totals)
        for number in range(newest - 1, first - 1, -1):
            if self._done or not self._older(number):
                break
        skip = {stream: self._passed_at_place[stream] - reach.needed for stream, reach in self._reach.items()}
        return attrs.evolve(self._place, skip=skip)

    @property
    def _done(self) -> bool:
        return not self._left and not any(reach.in_line for reach in self._reach.values())

    def _open_lines(self, first: int, *, count_open: bool) -> None:
        """Count the unterminated ends: they come last, that of stderr behind that of stdout."""
        for stream in reversed(self._streams):
            back = segments_back(self._directory, self._place, first, stream)
            if (self._left or not count_open) and ends_in_line(self._directory, stream, back):
                self._left -= count_open
                self._reach[stream].in_line = True

    def _older(self, number: int) -> bool:
        """Go through a segment that was closed; return whether it was there."""
        tally = sealed(self._directory, number)
        if tally and self._pass_whole(number, 0, tally.streams, dict.fromkeys(STREAMS, 0)):
            return True
        try:
            with IndexFile(self._directory, number) as index:
                self._segment(number, index, index.totals())
        except FileNotFoundError:  # removed meanwhile
            return False
        return True

    def _pass_whole(
        self, number: int, record: int, counts: Mapping[Stream, StreamTally], offsets: Mapping[Stream, int]
    ) -> bool:
        """Pass all records behind a place at once, if no line that is wanted begins behind it that is the first one."""
        if sum(counts[stream].newlines for stream in self._wanted()) > self._left:
            return False
        needed = False
        for stream in STREAMS:
            needed |= self._pass(stream, counts[stream].bytes, counts[stream].newlines)
        if needed:
            self._put(number, record, offsets)
        return True

    def _wanted(self) -> list[Stream]:
        """Return the streams of which newlines matter."""
        return [stream for stream in self._streams if self._left or self._reach[stream].in_line]

    def _pass(self, stream: Stream, size: int, newlines: int) -> bool:
        """Pass bytes, all of them or none needed; return whether they are."""
        reach = self._reach[stream]
        reach.passed += size
        if stream in self._streams and newlines and self._left:
            self._left -= newlines
            reach.in_line = True
        if reach.in_line and size:
            reach.needed = reach.passed
            return True
        return False

    def _put(self, number: int, record: int, offsets: Mapping[Stream, int]) -> None:
        self._place = Position(segment=number, record=record, offsets=dict(offsets))
        self._passed_at_place = {stream: reach.passed for stream, reach in self._reach.items()}

    def _segment(self, number: int, index: IndexFile, offsets: dict[Stream, int]) -> None:
        """Go through the records of a segment; `offsets` is how many bytes they are about."""
        with ExitStack() as stack:
            files = {
                stream: stack.enter_context(AnywhereFile(self._directory, data_name(stream, number)))
                for stream in self._streams
            }
            for block in index.blocks_backwards():
                if self._done:
                    return
                sizes = {stream: block.bytes_of(stream) for stream in STREAMS}
                begins = {stream: offsets[stream] - size for stream, size in sizes.items()}
                if not self._block_at_once(number, block, files, begins, sizes):
                    self._block(number, block, files, dict(offsets))
                offsets = begins

    def _block_at_once(
        self, number: int, block: Block, files: _Files, begins: dict[Stream, int], sizes: dict[Stream, int]
    ) -> bool:
        wanted = self._wanted()
        if sum(sizes[stream] for stream in wanted) > _AT_ONCE:
            return False
        counts = {
            stream: StreamTally(
                bytes=size,
                newlines=files[stream].read_at(begins[stream], size).count(b"\n") if stream in wanted else 0,
            )
            for stream, size in sizes.items()
        }
        return self._pass_whole(number, block.first, counts, begins)

    def _block(self, number: int, block: Block, files: _Files, offsets: dict[Stream, int]) -> None:
        for at in range(len(block) - 1, -1, -1):
            if self._done:
                return
            chunk = block.chunk(at)
            if chunk is None:
                continue
            stream, size = chunk
            offsets[stream] -= size
            if stream not in self._wanted():
                self._reach[stream].passed += size
            elif self._chunk(stream, files[stream], offsets[stream], size):
                self._put(number, block.first + at, offsets)

    def _chunk(self, stream: Stream, file: AnywhereFile, begin: int, size: int) -> bool:
        """Pass a chunk; return whether any of it is needed."""
        needed = False
        end = begin + size
        while end > begin:
            at = max(end - _PIECE, begin)
            data = file.read_at(at, end - at)
            if len(data) < end - at:
                raise ValueError(f"{stream} ends before what its index says")
            needed |= self._piece(stream, data)
            end = at
            if stream not in self._wanted():
                self._reach[stream].passed += end - begin
                break
        return needed

    def _piece(self, stream: Stream, data: bytes) -> bool:
        newlines = data.count(b"\n")
        if newlines <= self._left:
            return self._pass(stream, len(data), newlines)
        border = len(data)
        for _ in range(self._left + 1):
            border = data.rindex(b"\n", 0, border)
        reach = self._reach[stream]
        behind = len(data) - border - 1
        if self._left or reach.in_line:
            reach.needed = reach.passed + behind
        reach.passed += len(data)
        reach.in_line, self._left = False, 0
        return behind > 0
