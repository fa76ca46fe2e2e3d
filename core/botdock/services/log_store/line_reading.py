"""From the chunks of a stored log to the lines that somebody asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import attrs

from botdock.model.logs import GapReason, LogChunk, LogGap, LogLine, Stream
from botdock.services.lines import LineSplitter, parts
from botdock.services.log_store.layout import STREAMS
from botdock.services.log_store.locate import behind, tail_position, time_position
from botdock.services.log_store.places import Mark, Position, position_text, zeros
from botdock.services.log_store.reader import Entry, LogReader

Item = LogLine | LogGap
LATE = 1_000_000_000
"""Nanoseconds that a line may take from the bot to the disk; so much later than a time, nothing older comes."""


@attrs.frozen(kw_only=True)
class Wanted:
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
    def bounded(self) -> bool:
        """Whether not only a tail does."""
        return any(bound is not None for bound in (self.since_ns, self.until_ns, self.after))

    def allows(self, item: Item) -> bool:
        """Return whether the times allow it; of a gap, whether it reaches into them. One of no known time always is."""
        first, last = item.time_ns if isinstance(item, LogLine) else item.since_ns, _last_ns(item)
        if isinstance(item, LogGap) and not last:
            return True
        late = self.until_ns is not None and first > self.until_ns
        early = self.since_ns is not None and last < self.since_ns
        return not (late or early)


def _last_ns(item: Item) -> int:
    return item.time_ns if isinstance(item, LogLine) else max(item.since_ns, item.until_ns)


def start_of(directory: Path, wanted: Wanted, *, count_open: bool) -> Position | None:
    """Return from where on to read; None for the first byte that is kept.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    if wanted.after is not None:
        return wanted.after
    if wanted.since_ns is not None:
        return time_position(directory, wanted.since_ns, streams=wanted.streams)
    if wanted.tail is not None and not wanted.bounded:
        return tail_position(directory, wanted.tail, streams=wanted.streams, count_open=count_open)
    return None


class LineReading:
    """One reading of the lines that are wanted, which knows how far it is.

    Args:
        reader: Reads the log from the start on.
        directory: Of the log.
        wanted: Which lines.
        start: Where the reader begins; None for the first byte that is kept.
    """

    def __init__(self, reader: LogReader, directory: Path, wanted: Wanted, start: Position | None) -> None:
        self._reader, self._directory, self._wanted = reader, directory, wanted
        start = start or Position()
        self._in_line = dict(start.in_line)
        self._splitter = LineSplitter({stream: (b"", time_ns) for stream, time_ns in start.in_line.items()})
        self._last: tuple[int, int] | None = None
        seen = reader.mark[3] or zeros()
        self._done = {stream: seen[stream] + start.skip[stream] for stream in STREAMS}
        self._begun: dict[Stream, Mark] = {}
        self._gaps_told = start.told

    def items(
        self, entries: Callable[[LogReader, Callable[[], bool]], Iterator[Entry | None]]
    ) -> Iterator[Item | None]:
        """Yield lines and gaps, in their order, and None where nothing has come yet.

        Args:
            entries: Yields what the reader reads, until there is no more or the function says that no more is wanted.
        """
        wanted = self._wanted
        takes_all = wanted.since_ns is None and wanted.until_ns is None
        for item in self._items(entries):
            if item is None:
                yield None
            elif takes_all or wanted.allows(item):
                yield self._with_position(item) if wanted.positions else item

    def _items(
        self, entries: Callable[[LogReader, Callable[[], bool]], Iterator[Entry | None]]
    ) -> Iterator[Item | None]:
        for entry in entries(self._reader, self._expects):
            if entry is None:
                yield None
                continue
            if isinstance(entry, LogGap):
                yield from self._counted(self._splitter.finish(entry.stream))
                self._count_gap(entry)
                yield entry
                continue
            yield from self._lines(entry)
            if self._is_over(entry.time_ns):
                return
        for stream in self._wanted.streams:
            yield from self._counted(self._splitter.finish(stream))

    def _lines(self, chunk: LogChunk) -> Iterator[LogLine]:
        stream, fed = chunk.stream, 0
        for part in parts(chunk):
            if not self._splitter.held(stream):
                self._begun[stream] = self._reader.mark
            yield from self._counted(self._splitter.feed(part))
            fed += len(part.data)
            if self._splitter.held(stream) <= fed:
                self._begun[stream] = self._reader.mark

    def _counted(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        for line in lines:
            self._done[line.stream] += len(line.data) + line.complete
            if line.complete:
                self._in_line.pop(line.stream, None)
            else:
                self._in_line[line.stream] = line.time_ns
            yield line

    def _count_gap(self, gap: LogGap) -> None:
        self._in_line.pop(gap.stream, None)
        if gap.reason is GapReason.REMOVED:
            self._done[gap.stream] = max(self._done[gap.stream], self._reader.seen[gap.stream])
        else:
            segment, record, *_ = self._reader.mark
            self._gaps_told = (segment, record + 1)

    def _with_position(self, item: Item) -> Item:
        """Return an item that tells where a later reading goes on right behind it."""
        reader, streams = self._reader, self._wanted.streams
        opened = [self._begun[stream] for stream in streams if self._splitter.held(stream)]
        text = position_text(
            min([reader.mark, *opened], key=itemgetter(0, 1)) if opened else reader.mark,
            done=self._done if len(streams) == len(STREAMS) else self._done | reader.seen_besides(streams),
            told=max(self._gaps_told, reader.mark[:2]),
            in_line=self._in_line,
        )
        if isinstance(item, LogGap):
            return attrs.evolve(item, position=text)
        return LogLine(item.stream, item.data, item.time_ns, item.complete, position=text)

    def _expects(self) -> bool:
        """Return whether, as the clock is now, a line that is wanted may still come."""
        until_ns = self._wanted.until_ns
        return until_ns is None or time.time_ns() <= until_ns + LATE or self._in_wanted_line(until_ns)

    def _is_over(self, time_ns: int) -> bool:
        """Return whether nothing that is wanted follows what came at this time."""
        until_ns = self._wanted.until_ns
        if until_ns is None or time_ns <= until_ns or self._in_wanted_line(until_ns):
            return False
        if self._last is None:  # the clock may have been set back in between
            self._last = behind(self._directory, until_ns)
        return self._reader.place >= self._last

    def _in_wanted_line(self, until_ns: int) -> bool:
        opened = [self._splitter.open_since(stream) for stream in self._wanted.streams]
        return any(since is not None and since <= until_ns and self._not_too_old(since) for since in opened)

    def _not_too_old(self, since: int) -> bool:
        return self._wanted.since_ns is None or since >= self._wanted.since_ns


def line_ends(items: Iterable[Item | None], *, count_open: bool) -> Iterator[Stream]:
    """Yield the stream of each line where it ends; with `count_open`, of the unterminated ones at last."""
    opened = dict.fromkeys(STREAMS, False)
    for item in items:
        if isinstance(item, LogLine):
            opened[item.stream] = not item.complete
            if item.complete:
                yield item.stream
    if count_open:
        yield from (stream for stream in STREAMS if opened[stream])


def without_first(items: Iterable[Item | None], counts: Counter[Stream]) -> Iterator[Item | None]:
    """Leave out so many lines of each stream, with all their pieces, and the gaps among them."""
    for item in items:
        if item is None or not counts[item.stream]:
            yield item
        elif isinstance(item, LogLine):
            counts[item.stream] -= item.complete
