"""From the chunks of a stored log to the lines that somebody asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from botdock.model.logs import LogChunk, LogGap, LogLine, Stream
from botdock.services.lines import LineSplitter, parts
from botdock.services.log_store.layout import STREAMS
from botdock.services.log_store.locate import behind, time_position
from botdock.services.log_store.locate_tail import tail_position
from botdock.services.log_store.reader import Entry, LogReader, Position

Item = LogLine | LogGap
LATE = 1_000_000_000
"""Nanoseconds that a line may take from the bot to the disk; so much later than a time, nothing older comes."""
_BEFORE = b"?"


@attrs.frozen(kw_only=True)
class Wanted:
    """Which lines.

    Attributes:
        tail: How many of the last of those that the rest allows, or None for all.
        since_ns: Of which time on, nanoseconds since the epoch; a line's time is that of its first byte.
        until_ns: Up to which time.
        streams: Of which streams.
    """

    tail: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    streams: tuple[Stream, ...] = STREAMS

    @property
    def bounded(self) -> bool:
        """Whether a time bounds them."""
        return self.since_ns is not None or self.until_ns is not None

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


def start_of(directory: Path, wanted: Wanted, *, count_open: bool) -> tuple[Position | None, frozenset[Stream]]:
    """Return from where on to read, and the streams that are in the middle of an older line there.

    Raises:
        OSError: The log cannot be read.
        ValueError: It is damaged.
    """
    if wanted.since_ns is not None:
        return time_position(directory, wanted.since_ns, streams=wanted.streams)
    if wanted.tail is not None and not wanted.bounded:
        place = tail_position(directory, wanted.tail, streams=wanted.streams, count_open=count_open)
        return place, frozenset()
    return None, frozenset()


class LineReading:
    """One reading of the lines that are wanted.

    Args:
        reader: Reads the log from the start on.
        wanted: Which lines.
        in_line: The streams that are in the middle of an older line at the start.
    """

    def __init__(self, reader: LogReader, directory: Path, wanted: Wanted, in_line: frozenset[Stream]) -> None:
        self._reader = reader
        self._directory = directory
        self._wanted = wanted
        self._splitters = {stream: LineSplitter() for stream in wanted.streams}
        self._last: tuple[int, int] | None = None
        for stream in in_line:  # what follows is the rest of a line that is too old, not a line
            self._splitters[stream].feed(LogChunk(stream, _BEFORE, 0))

    def items(self, entries: Callable[[LogReader, Callable[[], bool]], Iterator[Entry]]) -> Iterator[Item]:
        """Yield lines and gaps, in their order.

        Args:
            entries: Yields what the reader reads, until there is no more or the function says that no more is wanted.
        """
        for entry in entries(self._reader, self._expects):
            if isinstance(entry, LogGap):
                items: list[Item] = [*self._splitters[entry.stream].finish(), entry]
                yield from filter(self._wanted.allows, items)
                continue
            for part in parts(entry):
                yield from filter(self._wanted.allows, self._splitters[entry.stream].feed(part))
            if self._is_over(entry.time_ns):
                return
        for splitter in self._splitters.values():
            yield from filter(self._wanted.allows, splitter.finish())

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
        opened = [splitter.open_since(stream) for stream, splitter in self._splitters.items()]
        return any(since is not None and since <= until_ns and self._not_too_old(since) for since in opened)

    def _not_too_old(self, since: int) -> bool:
        return self._wanted.since_ns is None or since >= self._wanted.since_ns


def line_ends(items: Iterable[Item], *, count_open: bool) -> Iterator[Stream]:
    """Yield the stream of each line where it ends; with `count_open`, of the unterminated ones at last."""
    opened = dict.fromkeys(STREAMS, False)
    for item in items:
        if isinstance(item, LogLine):
            opened[item.stream] = not item.complete
            if item.complete:
                yield item.stream
    if count_open:
        yield from (stream for stream in STREAMS if opened[stream])


def without_first(items: Iterable[Item], counts: Counter[Stream]) -> Iterator[Item]:
    """Leave out so many lines of each stream, with all their pieces, and the gaps among them."""
    for item in items:
        if not counts[item.stream]:
            yield item
        elif isinstance(item, LogLine):
            counts[item.stream] -= item.complete
