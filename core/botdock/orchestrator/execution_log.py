"""Reading what an execution writes, by its own runner: while it runs and afterwards, with or without asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import islice

from botdock.errors import LogError, UserError
from botdock.model import LogChunk, LogGap, LogLine, Stream
from botdock.orchestrator.run import Run
from botdock.orchestrator.watch import Pool
from botdock.services.interfaces import Logs
from botdock.services.log_store import StoredLog
from botdock.services.log_store.layout import STREAMS
from botdock.services.log_store.line_reading import Wanted
from botdock.services.log_store.places import Position
from botdock.services.log_store.stored import POLL_INTERVAL

Item = LogLine | LogGap
LONGEST_POLL = 0.1
"""Seconds between two looks of `alogs` at a log to which nothing comes."""
_BATCH = 1000
"""Items that are read at once."""


class ExecutionLog:
    """The log of one execution.

    Args:
        run: What is run.
        logs: Collects its log.
        pool: Reads for `alogs`.
        done: Returns whether the execution has ended.
    """

    def __init__(self, run: Run, logs: Logs, pool: Pool, *, done: Callable[[], bool]) -> None:
        self._run = run
        self._logs = logs
        self._pool = pool
        self._done = done

    def stream(self, *, follow: bool = True) -> Iterator[LogChunk]:
        """Yield the bytes it wrote and, with `follow`, those it writes, until its log has ended."""
        try:
            return self._logs.stream_logs(self._run.execution_id, follow=follow)
        except LogError:  # it has ended: nothing more will come
            return StoredLog(self._run.journal.logs).chunks()

    def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        stream: Stream | None = None,
        after: str | None = None,
    ) -> Iterator[Item]:
        """Yield the lines it wrote, and what is missing between them, in its place; with `follow` those it writes, too.

        Args:
            follow: Whether to go on with what comes, until its log has ended.
            tail: How many of the last lines; None for all.
            since: From when on; a line's time is that of its first byte.
            until: Up to when.
            stream: Only of this one.
            after: The `position` of an item that an earlier reading of the same streams gave: what lies behind it.

        Raises:
            UserError: `after` is not a position.
            LogError: Its log cannot be read.
        """
        for item in self._read(follow=follow, tail=tail, since=since, until=until, stream=stream, after=after):
            if item is None:
                time.sleep(POLL_INTERVAL)
            else:
                yield item

    async def alogs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        stream: Stream | None = None,
        after: str | None = None,
    ) -> AsyncIterator[Item]:
        """`logs`, without blocking the event loop; while nothing comes, it keeps no thread waiting."""
        items = self._read(follow=follow, tail=tail, since=since, until=until, stream=stream, after=after)
        pause = POLL_INTERVAL
        while True:
            read = await asyncio.wrap_future(self._pool.call(lambda: list(islice(_until_idle(items), _BATCH))))
            for item in read:
                if item is not None:
                    yield item
            if not read:
                return
            pause = min(2 * pause, LONGEST_POLL) if read == [None] else POLL_INTERVAL
            if read[-1] is None:
                await asyncio.sleep(pause)

    def _read(
        self,
        *,
        follow: bool,
        tail: int | None,
        since: datetime | None,
        until: datetime | None,
        stream: Stream | None,
        after: str | None,
    ) -> Iterator[Item | None]:
        if self._done() and not self._run.journal.logs.is_dir():  # it was stopped before its bot was started
            return iter(())
        try:
            place = None if after is None else Position.from_text(after)
        except ValueError as error:
            raise UserError(str(error), hint="Pass the `position` of an item, as it is.") from error
        wanted = Wanted(
            tail=tail,
            since_ns=_nanoseconds(since),
            until_ns=_nanoseconds(until),
            streams=STREAMS if stream is None else (stream,),
            after=place,
            positions=True,
        )
        return StoredLog(self._run.journal.logs).steps(wanted, lambda: not self._done(), follow=follow)


def _until_idle(items: Iterator[Item | None]) -> Iterator[Item | None]:
    """Yield up to, and with, the first None: nothing more is there now."""
    for item in items:
        yield item
        if item is None:
            return


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1e9)
