"""What the owner of an execution reads of it: whether it has ended and how, and its log, with or without asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any, Self, TypedDict, Unpack, overload
from weakref import WeakKeyDictionary

from botdock._log import logger
from botdock._threads import Pool
from botdock.errors import LogError, UserError
from botdock.model import ExecutionResult, LogChunk, LogGap, LogLine, Stream
from botdock.orchestrator.run import Run
from botdock.services.interfaces import Logs
from botdock.services.log_store import StoredLog
from botdock.services.log_store.layout import STREAMS
from botdock.services.log_store.locate import LineQuery, position_of
from botdock.services.log_store.stored import POLL_INTERVAL

Item = LogLine | LogGap
LONGEST_POLL = 0.1
"""Seconds between two looks at a log to which nothing comes."""
_BATCH = 1000
"""Items that are read at once."""


class LogOptions(TypedDict, total=False):
    """What `Execution.logs` and `Execution.alogs` yield; see there."""

    follow: bool
    tail: int | None
    since: datetime | None
    until: datetime | None
    stream: Stream | None
    after: str | None


class Work:
    """The threads of one runner, by what they may wait for, so that none waits for another's.

    Attributes:
        starts: For images and code.
        looks: For one short answer of the engine.
        stops: For a bot's grace.
        ends: For the rest of a log, and for the storage.
    """

    def __init__(self) -> None:
        self.starts = Pool("botdock-start", 4)
        self.looks = Pool("botdock-look", 2)
        self.stops = Pool("botdock-stop", 64)
        self.ends = Pool("botdock-end", 8)

    def forget(self) -> None:
        """Drop what is not due yet."""
        for pool in (self.looks, self.stops):
            pool.forget()


class ExecutionReader:
    """What can be read of one execution, and when it is over.

    Attributes:
        execution_id: The run; sorts by time.
    """

    execution_id: str
    _run: Run
    _logs: Logs
    _work: Work
    _over: Future[ExecutionResult | None]

    @property
    def done(self) -> bool:
        """Whether it has ended, all of it is stored, and what can be is removed: `result.evidence` has what cannot.

        One that a closed runner has left to the next is done, too, and its result says that it runs.
        """
        return self._over.done()

    @property
    def container_id(self) -> str:
        """The engine's identity of its container."""
        return self._run.container_id

    @property
    def result(self) -> ExecutionResult:
        """The result; of one that still runs, what is known so far, with the status `running`."""
        if self.done and (result := self._over.result()) is not None:
            return self._run.concluded or result  # what could not be removed at its end may be since
        return self._run.result(message="running")

    def add_done_callback(self, call: Callable[[Self], object]) -> None:
        """Call `call` with this execution once it is done, in the thread that ends it; at once when it is done already.

        What it raises is logged. As any callback it should be short.
        """

        def guarded(_over: object) -> None:
            try:
                call(self)
            except Exception as error:  # noqa: BLE001 - the others are called all the same
                logger.bind(execution_id=self.execution_id, error=repr(error)).error("a callback failed")

        self._over.add_done_callback(guarded)

    @overload
    def wait(self, timeout: None = None) -> ExecutionResult: ...
    @overload
    def wait(self, timeout: float | None) -> ExecutionResult | None: ...
    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        """Wait for the end, and return the result; None when it still runs after `timeout` seconds.

        Without a timeout, it is `result`, also of one that a closed runner has left to the next.
        """
        with suppress(TimeoutError), self._work.ends.blocked():
            result = self._over.result(timeout)
            return self.result if timeout is None else result
        return None

    async def aresult(self) -> ExecutionResult:
        """Wait for the end without blocking the event loop, and return `result`; cancelling that changes nothing."""
        await until_done(self._over)
        return self.result

    def stream(self, *, follow: bool = True) -> Iterator[LogChunk]:
        """Yield the bytes it wrote and, with `follow`, those it writes, until its log has ended."""
        try:
            return self._logs.stream_logs(self._run.execution_id, follow=follow)
        except LogError:  # it has ended: nothing more will come
            return StoredLog(self._run.journal.logs).chunks()

    def logs(self, **options: Unpack[LogOptions]) -> Iterator[Item]:
        """Yield the lines it wrote, and what is missing between them, in its place; with `follow` those it writes, too.

        Args:
            **options: All may be left out. `follow`: whether to go on with what comes, until its log has ended.
                `tail`: how many of the last lines. `since` and `until`: from when on, and up to when; a line's time is
                that of its first byte. `stream`: only of this one. `after`: the `position` of an item that an earlier
                reading of the same streams gave; what lies behind it is read.

        Raises:
            UserError: `after` is not a position.
            LogError: Its log cannot be read.
        """
        seen = -1
        for item in self._read(**options):
            if item is None:
                seen = self._wait_for_more(seen)
            else:
                yield item

    def _wait_for_more(self, seen: int) -> int:
        """Wait until more of its log is stored than at `seen`, or for a moment; return what to wait from next."""
        with suppress(LogError):  # it is collected no more: what is left is its end
            seen, ended = self._logs.wait_progress(self.execution_id, seen, LONGEST_POLL)
            if not ended:
                return seen
        time.sleep(POLL_INTERVAL)
        return seen

    async def alogs(self, **options: Unpack[LogOptions]) -> AsyncIterator[Item]:
        """`logs`, without blocking the event loop; while nothing comes, it keeps no thread waiting."""
        items = self._read(**options)
        pause, batch = POLL_INTERVAL, None
        try:
            while True:
                batch = self._work.looks.call(lambda: list(islice(_until_idle(items), _BATCH)))
                read = await asyncio.wrap_future(batch)
                for item in read:
                    if item is not None:
                        yield item
                if not read:
                    return
                pause = min(2 * pause, LONGEST_POLL) if read == [None] else POLL_INTERVAL
                if read[-1] is None:
                    await asyncio.sleep(pause)
        finally:  # one that was given up is part of a cycle: its files would be open until the garbage is collected
            if batch is not None:
                batch.add_done_callback(lambda _: items.close())

    def _read(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        stream: Stream | None = None,
        after: str | None = None,
    ) -> Generator[Item | None, None, None]:
        if self.done and not self._run.journal.logs.is_dir():  # it was stopped before its bot was started
            return (_ for _ in ())
        try:
            place = None if after is None else position_of(after)
        except ValueError as error:
            raise UserError(str(error), hint="Pass the `position` of an item, as it is.") from error
        query = LineQuery(
            tail=tail,
            since_ns=None if since is None else round(since.timestamp() * 1e9),
            until_ns=None if until is None else round(until.timestamp() * 1e9),
            streams=STREAMS if stream is None else (stream,),
            after=place,
            positions=True,
        )
        return StoredLog(self._run.journal.logs).steps(query, lambda: not self.done, follow=follow)


_WAITS: WeakKeyDictionary[Future[Any], set[Future[None]]] = WeakKeyDictionary()
"""What is told when a future is done. A wait that was cancelled leaves nothing here, as a callback of its own would."""


async def until_done(future: Future[Any]) -> None:
    """Wait until a future of other threads is done; cancelling the wait does not cancel what is waited for."""
    told: Future[None] = Future()
    new: set[Future[None]] = set()
    waits = _WAITS.setdefault(future, new)
    waits.add(told)
    if waits is new:
        future.add_done_callback(lambda _: _tell(new))
    elif future.done():
        _tell(waits)
    try:
        await asyncio.shield(asyncio.wrap_future(told))
    finally:
        waits.discard(told)


def _tell(waits: set[Future[None]]) -> None:
    """Tell each once, without a lock: taking one out of a set is a single step."""
    with suppress(KeyError):
        while True:
            waits.pop().set_result(None)


def _until_idle(items: Iterator[Item | None]) -> Iterator[Item | None]:
    """Yield up to, and with, the first None: nothing more is there now."""
    for item in items:
        yield item
        if item is None:
            return
