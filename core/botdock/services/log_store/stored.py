"""The log of an execution as it lies on disk: while the bot runs, afterwards, and from any process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import attrs

from botdock.errors import LogError
from botdock.model.logs import GapReason, LogChunk, LogGap, LogLine, LogSummary, Stream
from botdock.services.lines import LineSplitter, last_text, parts
from botdock.services.log_store.layout import END, STREAMS, UNREADABLE, read_document
from botdock.services.log_store.locate import Item, LineQuery, behind, position_of, position_text
from botdock.services.log_store.reader import Entry, LogReader, end_position

T = TypeVar("T")
LATE = 1_000_000_000
"""Nanoseconds that a line may take from the bot to the disk; so much later than a time, nothing older comes."""
POLL_INTERVAL = 0.02
"""Seconds between two looks at a log that another process writes; a look costs some ten microseconds."""


@attrs.frozen
class StoredLog:
    """Reads the log in a folder.

    Attributes:
        directory: The folder `logs` of an execution.
    """

    directory: Path

    @property
    def ended(self) -> bool:
        """Whether nothing more is added to it."""
        return (self.directory / END).exists()

    def summary(self) -> LogSummary | None:
        """Return counts and hashes of a log that has ended, or None.

        Raises:
            LogError: They are damaged.
        """
        if not self.ended:
            return None
        document = read_document(self.directory / END) or {}
        defaults = attrs.asdict(LogSummary())
        if any(type(document.get(name)) is not type(default) for name, default in defaults.items()):
            raise LogError(f"{self.directory / END} is damaged", hint="`botdock logs --verify` says more.")
        return LogSummary(**{name: document[name] for name in defaults})

    def entries(self, *, follow: bool = False, alive: Callable[[], bool] = lambda: True) -> Iterator[Entry]:
        """Yield chunks and gaps; with `follow` those that come, too, until the log has ended.

        Args:
            follow: Whether to wait for more.
            alive: Whether a runner still writes; asked now and then while nothing comes. When none does, it ends.

        Raises:
            LogError: The log is not there, or cannot be read.
        """
        with self._explained(), closing(LogReader(self.directory)) as reader:
            entries: Iterator[Entry] = _patiently(self._read(reader, alive, follow=follow))
            yield from entries

    def lines(
        self,
        *,
        tail: int | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        stream: Stream | None = None,
        after: str | None = None,
        positions: bool = False,
        follow: bool = False,
        alive: Callable[[], bool] = lambda: True,
    ) -> Iterator[Item]:
        """Yield lines, and what is missing between them; with `follow` those that come, too, until the log has ended.

        A line comes when its newline does, a very long one in pieces, and one that has no newline at the end. Where
        bytes are missing in the middle of a line, what lies before them comes as an unterminated one.

        Args:
            tail: How many of the last lines of those that the rest allows; with `follow`, an unterminated one is not
                counted, for it has yet to come. None for all.
            since_ns: From when on, nanoseconds since the epoch; a line's time is that of its first byte.
            until_ns: Up to when; behind it, it ends by itself.
            stream: Only of this one.
            after: The position of an item that an earlier reading of the same streams gave: what lies behind it.
            positions: Whether items tell their position.
            follow: Whether to wait for more.
            alive: Whether a runner still writes; asked now and then. When none does, it ends.

        Raises:
            LogError: The log is not there, or cannot be read.
            ValueError: `after` is not a position.
        """
        query = LineQuery(
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            streams=STREAMS if stream is None else (stream,),
            after=None if after is None else position_of(after),
            positions=positions,
        )
        return _patiently(self.steps(query, alive, follow=follow))

    def steps(self, query: LineQuery, alive: Callable[[], bool], *, follow: bool) -> Generator[Item | None, None, None]:
        """Yield as `lines` does, and None where that would wait: the caller waits in a way of its own."""
        follow = follow and not self.ended
        with self._explained():
            self.directory.stat()
            surplus = self._surplus(query, count_open=not follow)
            for item in self._lines(query, alive, follow=follow):
                if item is None or not surplus[item.stream]:
                    yield item
                elif isinstance(item, LogLine):  # the pieces of a line go with it, and the gaps before
                    surplus[item.stream] -= item.complete

    def chunks(self) -> Iterator[LogChunk]:
        """Yield what is stored now, without what is missing."""
        return (entry for entry in self.entries() if isinstance(entry, LogChunk))

    def tail(self, size: int) -> str:
        """Return the last `size` bytes of what is stored now as text, both streams as they came.

        No character is cut: one that does not lie in them as a whole is left out. What is not UTF-8 is replaced.

        Args:
            size: Bytes.

        Raises:
            LogError: The log is not there, or cannot be read.
        """
        with self._explained():
            start = end_position(self.directory, size + 1)
            with closing(LogReader(self.directory, start)) as reader:
                chunks = [entry for entry in reader.read() if isinstance(entry, LogChunk)]
        return last_text(chunks, size)

    def _lines(self, query: LineQuery, alive: Callable[[], bool], *, follow: bool) -> Iterator[Item | None]:
        start = query.start(self.directory, count_open=not follow)
        with closing(LogReader(self.directory, start, streams=query.streams)) as reader:
            reading = _LineReading(reader, self.directory, query)
            yield from reading.items(self._read(reader, lambda: reading.expects() and alive(), follow=follow))

    def _surplus(self, query: LineQuery, *, count_open: bool) -> Counter[Stream]:
        """Return how many lines come before the tail of those that a time bounds: they are counted, not kept."""
        total, last, opened = Counter[Stream](), deque[Stream](maxlen=query.tail), dict.fromkeys(STREAMS, False)
        if query.tail is None or not query.bounded:
            return total
        for item in self._lines(query, lambda: False, follow=False):
            if isinstance(item, LogLine):
                opened[item.stream] = not item.complete
                if item.complete:
                    total[item.stream] += 1
                    last.append(item.stream)
        rest = [stream for stream in STREAMS if opened[stream] and count_open]
        last.extend(rest)
        return total + Counter(rest) - Counter(last)

    def _read(self, reader: LogReader, alive: Callable[[], bool], *, follow: bool) -> Iterator[Entry | None]:
        while True:
            ended = self.ended or not (follow and alive())  # asked first: what is read then is all there is
            came = False
            for entry in reader.read():
                came = True
                yield entry
            if ended:
                return
            if not came:
                yield None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise LogError(f"there is no log in {self.directory}") from error
        except (OSError, *UNREADABLE) as error:
            raise LogError(
                f"the log in {self.directory} cannot be read: {error}", hint="`botdock logs --verify` says more."
            ) from error


def _patiently(steps: Iterator[T | None]) -> Iterator[T]:
    for item in steps:
        if item is None:
            time.sleep(POLL_INTERVAL)
        else:
            yield item


class _LineReading:
    """One reading of the lines of a query, which knows how far it is.

    Args:
        reader: Reads the log from the query's start on.
        directory: Of the log.
        query: Which lines.
    """

    def __init__(self, reader: LogReader, directory: Path, query: LineQuery) -> None:
        self._reader, self._directory, self._query = reader, directory, query
        self._in_line = dict(reader.start.in_line)
        self._splitter = LineSplitter({stream: (b"", time_ns) for stream, time_ns in self._in_line.items()})
        self._done = dict(reader.done)
        self._begun: dict[Stream, tuple[int, int]] = {}
        self._gaps_told = reader.start.told
        self._last: tuple[int, int] | None = None

    def items(self, entries: Iterable[Entry | None]) -> Iterator[Item | None]:
        """Yield the lines and gaps of what the reader reads, in their order, and None where nothing has come yet."""
        timed, positions = self._query.timed, self._query.positions
        for item in self._items(entries):
            if item is None:
                yield None
            elif not timed or self._query.allows(item):
                yield self._with_position(item) if positions else item

    def expects(self) -> bool:
        """Return whether, as the clock is now, a line that is wanted may still come."""
        until_ns = self._query.until_ns
        return until_ns is None or time.time_ns() <= until_ns + LATE or self._in_wanted_line(until_ns)

    def _items(self, entries: Iterable[Entry | None]) -> Iterator[Item | None]:
        for entry in entries:
            if entry is None:
                yield None
            elif isinstance(entry, LogGap):
                yield from self._counted(self._splitter.finish(entry.stream))
                self._count_gap(entry)
                yield entry
            else:
                yield from self._lines(entry)
                if self._is_over(entry.time_ns):
                    return
        for stream in self._query.streams:  # one by one: the position of the first must know that the other is open
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
            segment, record = self._reader.mark
            self._gaps_told = (segment, record + 1)

    def _with_position(self, item: Item) -> Item:
        """Return an item that tells where a later reading goes on right behind it."""
        mark = self._reader.mark
        opened = [self._begun[stream] for stream in self._query.streams if self._splitter.held(stream)]
        place = min([mark, *opened]) if opened else mark
        text = position_text(place, done=self._done, told=max(self._gaps_told, mark), in_line=self._in_line)
        if isinstance(item, LogGap):
            return attrs.evolve(item, position=text)
        return LogLine(item.stream, item.data, item.time_ns, item.complete, position=text)

    def _is_over(self, time_ns: int) -> bool:
        """Return whether nothing that is wanted follows what came at this time."""
        until_ns = self._query.until_ns
        if until_ns is None or time_ns <= until_ns or self._in_wanted_line(until_ns):
            return False
        if self._last is None:  # the clock may have been set back in between
            self._last = behind(self._directory, until_ns)
        return self._reader.place >= self._last

    def _in_wanted_line(self, until_ns: int) -> bool:
        since_ns = self._query.since_ns or 0
        opened = (self._splitter.open_since(stream) for stream in self._query.streams)
        return any(time_ns is not None and since_ns <= time_ns <= until_ns for time_ns in opened)
