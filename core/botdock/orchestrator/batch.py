"""Many executables, so many at a time; see `Runner.map`."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sized
from concurrent.futures import Future, wait
from functools import partial

from botdock.errors import BotdockError, UserError
from botdock.model import Executable, ExecutionResult, MapProgress
from botdock.orchestrator.owned import Begin, Owned, all_over
from botdock.orchestrator.reading import until_done
from botdock.orchestrator.running import ClosedError

OnMapProgress = Callable[[MapProgress], object]


class Batch:
    """Begins executables as room comes, and has their results in their order; for one thread, or one task.

    Args:
        begin: Begins one of them.
        executables: Taken from when there is room, and not before.
        concurrency: How many may run at a time.
        progress: Told how far it is.

    Raises:
        UserError: It is less than 1.
    """

    def __init__(
        self, begin: Begin, executables: Iterable[Executable], concurrency: int, progress: OnMapProgress | None
    ) -> None:
        if concurrency < 1:
            raise UserError(f"concurrency must be 1 or more, not {concurrency}")
        self._begin = begin
        self._left = iter(executables)
        self._total = len(executables) if isinstance(executables, Sized) else None
        self._concurrency = concurrency
        self._progress = progress
        self._running: dict[int, Owned] = {}
        self._results: dict[int, ExecutionResult | BaseException] = {}
        self._taken = self._given = self._done = self._succeeded = 0
        self._lock = threading.Lock()
        self._ended: list[int] = []
        self._told: Future[None] = Future()

    def results(self) -> Generator[ExecutionResult, None, None]:
        """Yield the results; when that ends early, stop what runs, and wait for it."""
        try:
            while (result := self._step()) is not None or self._running:
                if result is not None:
                    yield result
                else:
                    self._told.result()
        finally:
            self._give_up()
            wait([owned.over for owned in self._running.values()])

    async def aresults(self) -> AsyncGenerator[ExecutionResult, None]:
        """`results`, without blocking the event loop."""
        try:
            while (result := self._step()) is not None or self._running:
                if result is not None:
                    yield result
                else:
                    await self._wait()
        finally:
            self._give_up()
            await all_over(self._running.values())

    async def _wait(self) -> None:
        try:
            await until_done(self._told)
        except GeneratorExit:  # the loop is gone: there is nothing to wait in
            self._give_up()
            self._running.clear()
            raise

    def _step(self) -> ExecutionResult | None:
        """Take in what has ended, begin what there is room for, and return the next result if it is there."""
        with self._lock:
            ended, self._ended, self._told = self._ended, [], Future()
        for number in ended:
            result = self._results[number] = _result_of(self._running.pop(number))
            self._done += 1
            if isinstance(result, ExecutionResult):
                self._succeeded += result.succeeded
            else:
                self._left = iter(())  # it is raised in its place: those behind it have none
        taken = self._taken
        self._fill()
        if ended or taken != self._taken:
            self._tell()
        if self._given not in self._results:
            return None
        result = self._results.pop(self._given)
        if isinstance(result, BaseException):
            raise result
        self._given += 1
        return result

    def _tell(self) -> None:
        if self._progress is not None:
            running = len(self._running)
            self._progress(MapProgress(total=self._total, running=running, done=self._done, succeeded=self._succeeded))

    def _fill(self) -> None:
        while len(self._running) < self._concurrency:
            try:
                executable = next(self._left)
            except StopIteration:
                return
            number, self._taken = self._taken, self._taken + 1
            owned = self._running[number] = Owned(self._begin, executable)
            owned.over.add_done_callback(partial(self._note, number))

    def _note(self, number: int, _over: object) -> None:
        """Take note, in another thread, that one has ended."""
        with self._lock:
            self._ended.append(number)
            if not self._told.done():
                self._told.set_result(None)

    def _give_up(self) -> None:
        for owned in self._running.values():
            owned.give_up()


def _result_of(owned: Owned) -> ExecutionResult | BaseException:
    """Return how one ended. What hindered its start is its result: one must not lose the others."""
    error = owned.over.exception()
    if error is None:
        return owned.over.result()
    if not isinstance(error, BotdockError) or isinstance(error, ClosedError):
        return error
    return ExecutionResult.unstarted(owned.executable, error)
