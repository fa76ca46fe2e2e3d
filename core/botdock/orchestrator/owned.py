"""An execution that has one owner, from its start on: it ends when the owner gives it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from botdock.model import Executable, ExecutionResult, Outcome
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.reading import until_done

T = TypeVar("T")
Begin = Callable[..., Future[Execution]]
"""`BotOrchestrator.begin_soon`."""


class Owned:
    """Begins to start an execution, in another thread.

    Args:
        begin: Begins it.
        executable: What to run.

    Attributes:
        executable: What is run.
        begun: The execution once it runs, or why it could not be started.
        over: Its result once nothing of it is left, or why it could not be started.
    """

    def __init__(self, begin: Begin, executable: Executable) -> None:
        self.executable = executable
        self.over: Future[ExecutionResult] = Future()
        self._given_up = threading.Event()
        self.begun = begin(executable, given_up=self._given_up)
        self.begun.add_done_callback(self._follow)

    def give_up(self) -> None:
        """Stop it, or do not start it; `over` says when nothing of it is left."""
        self._given_up.set()
        self.begun.add_done_callback(_stop)

    async def get(self, future: Future[T]) -> T:
        """Wait for `begun` or `over`; when that is cancelled, give it up, and wait until it is over."""
        try:
            await until_done(future)
        except (asyncio.CancelledError, GeneratorExit) as error:
            self.give_up()
            if isinstance(error, asyncio.CancelledError):
                await all_over([self])
            raise
        return future.result()

    def _follow(self, begun: Future[Execution]) -> None:
        if (error := begun.exception()) is not None:
            self.over.set_exception(error)
        else:
            begun.result().add_done_callback(lambda execution: self.over.set_result(execution.result))


def _stop(begun: Future[Execution]) -> None:
    if begun.exception() is None:
        begun.result().end_soon(Outcome.STOPPED, grace=None)


async def all_over(several: Iterable[Owned]) -> None:
    """Wait until all are over; cancelling that is put off until they are: what was started is never left alone."""
    cancelled: asyncio.CancelledError | None = None
    for owned in several:
        while not owned.over.done():
            try:
                await until_done(owned.over)
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
