"""The log of an execution as it lies on disk: while the bot runs, afterwards, and from any process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import LogError
from botdock.model.logs import LogChunk, LogGap, LogLine, LogSummary, Stream
from botdock.services.log_store.files import UNREADABLE
from botdock.services.log_store.layout import END, STREAMS, read_document
from botdock.services.log_store.line_reading import LineReading, Wanted, line_ends, start_of, without_first
from botdock.services.log_store.locate import end_position
from botdock.services.log_store.places import Position
from botdock.services.log_store.reader import Entry, LogReader

POLL_INTERVAL = 0.02
"""Seconds between two looks at a log that another process writes; a look costs some ten microseconds."""


class StoredLog:
    """Reads the log in a folder.

    Args:
        directory: The folder `logs` of an execution.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

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
        document = read_document(self.directory / END)
        if document is None:
            raise _damaged(self.directory)
        return _summary(document, self.directory)

    def entries(
        self, *, start: Position | None = None, follow: bool = False, alive: Callable[[], bool] = lambda: True
    ) -> Iterator[Entry]:
        """Yield chunks and gaps from a place on; with `follow` those that come, too, until the log has ended.

        Args:
            start: The place; None for the first byte that is kept.
            follow: Whether to wait for more.
            alive: Whether a runner still writes; asked now and then while nothing comes. When none does, it ends.

        Raises:
            LogError: There is no log, or it cannot be read.
        """
        with self._explained(), LogReader(self.directory, start) as reader:
            for entry in self._read(reader, alive, follow=follow):
                if entry is None:
                    time.sleep(POLL_INTERVAL)
                else:
                    yield entry

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
    ) -> Iterator[LogLine | LogGap]:
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
            LogError: There is no log, or it cannot be read.
            ValueError: `after` is not a position.
        """
        wanted = Wanted(
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            streams=STREAMS if stream is None else (stream,),
            after=None if after is None else Position.from_text(after),
            positions=positions,
        )
        return _patiently(self.steps(wanted, alive, follow=follow))

    def steps(self, wanted: Wanted, alive: Callable[[], bool], *, follow: bool) -> Iterator[LogLine | LogGap | None]:
        """Yield as `lines` does, and None where that would wait: the caller waits in a way of its own."""
        follow = follow and not self.ended
        with self._explained():
            self.directory.stat()
            items = self._lines(wanted, alive, follow=follow)
            yield from without_first(items, self._surplus(wanted, count_open=not follow))

    def _lines(self, wanted: Wanted, alive: Callable[[], bool], *, follow: bool) -> Iterator[LogLine | LogGap | None]:
        start = start_of(self.directory, wanted, count_open=not follow)
        with LogReader(self.directory, start, streams=wanted.streams) as reader:
            reading = LineReading(reader, self.directory, wanted, start)
            yield from reading.items(
                lambda reader, expects: self._read(reader, lambda: expects() and alive(), follow=follow)
            )

    def _surplus(self, wanted: Wanted, *, count_open: bool) -> Counter[Stream]:
        """Return how many lines come before the tail of those that a time bounds: they are counted, not kept."""
        if wanted.tail is None or not wanted.bounded:
            return Counter()

        def ends() -> Iterator[Stream]:
            return line_ends(self._lines(wanted, lambda: False, follow=False), count_open=count_open)

        return Counter(islice(ends(), max(sum(1 for _ in ends()) - wanted.tail, 0)))

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

    def chunks(self, *, start: Position | None = None) -> Iterator[LogChunk]:
        """Yield what is stored now, without what is missing."""
        return (entry for entry in self.entries(start=start) if isinstance(entry, LogChunk))

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes of what is stored now, both streams as they came; fewer if there are no more.

        Raises:
            LogError: There is no log, or it cannot be read.
        """
        with self._explained():
            start = end_position(self.directory, size)
        data = b"".join(chunk.data for chunk in self.chunks(start=start))
        return data[-size:] if size else b""

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


def _patiently(steps: Iterator[LogLine | LogGap | None]) -> Iterator[LogLine | LogGap]:
    for item in steps:
        if item is None:
            time.sleep(POLL_INTERVAL)
        else:
            yield item


def _damaged(directory: Path) -> LogError:
    return LogError(f"{directory / END} is damaged", hint="`botdock logs --verify` says more.")


def _summary(document: dict[str, Any], directory: Path) -> LogSummary:
    names = {field.name for field in attrs.fields(LogSummary)}
    summary = LogSummary(**{name: value for name, value in document.items() if name in names})
    if any(type(value) is not type(getattr(LogSummary(), name)) for name, value in attrs.asdict(summary).items()):
        raise _damaged(directory)
    return summary
