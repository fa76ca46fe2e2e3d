"""The front of botdock: executables run, watched and stopped, with or without asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from botdock.config import Config
from botdock.executions import Executions
from botdock.factory import ServiceFactory
from botdock.model import Executable, ExecutionResult, Outcome
from botdock.orchestrator import Execution
from botdock.orchestrator.run import ProgressCallback
from botdock.orchestrator.strays import Leftover
from botdock.plugin_manager import PluginManager

if TYPE_CHECKING:
    from botdock.pool import PoolReport

__all__ = ["Execution", "Runner"]

T = TypeVar("T")


class Runner:
    """Runs executables. A context manager; safe to use from several threads, and in asyncio by `arun` and `astart`.

    Example:
        ```python
        from botdock import Config, Executable, Runner

        with Runner(Config.load()) as runner:
            bot = Executable(id="hello", runtime="python3.11", file_path="examples/hello-python")
            result = runner.run(bot)
            print(result.outcome, result.exit_code, result.value)
        ```

    Attributes:
        config: Its configuration.
        executions: What there is and was in its state folder.
        metrics: What it counts.

    Args:
        config: The configuration; None means `Config.load()`.
        plugins: Where engines, runtimes and storages come from; None means what is installed.

    Raises:
        ConfigError: The configuration is wrong.
        NotFoundError: It names an engine or a storage that is not installed.
        EngineUnavailableError: No engine answers.
    """

    def __init__(self, config: Config | None = None, *, plugins: PluginManager | None = None) -> None:
        self.config = config or Config.load(plugins=plugins)
        self.plugins = plugins or PluginManager.load(self.config.plugins)
        self._factory = ServiceFactory(self.config, self.plugins)
        self._orchestrator = self._factory.create_orchestrator()
        self.metrics = self._factory.metrics
        self.executions = Executions(self.config.home_dir)

    def run(self, executable: Executable, *, progress: ProgressCallback | None = None) -> ExecutionResult:
        """Run an executable to its end, and return its result; an interrupt (Ctrl-C) ends the bot too.

        Args:
            executable: What to run.
            progress: Told how far a pull or an unpacking is.

        Raises:
            UserError: It cannot be run as it was asked for.
            BotdockError: Botdock could not do its part; `phase` says in which phase.
        """
        return self._orchestrator.finish(self.start(executable, progress=progress))

    def start(self, executable: Executable, *, progress: ProgressCallback | None = None) -> Execution:
        """Start an executable, and return the execution while it runs.

        Once it runs, what dead runners could not remove of executions that are over is removed in the background.

        Raises:
            UserError: It cannot be run as it was asked for.
            BotdockError: Botdock could not do its part; what was made is removed, now or as soon as it can be.
        """
        return self._orchestrator.begin(executable, progress)

    async def arun(self, executable: Executable) -> ExecutionResult:
        """`run`, without blocking the event loop; cancelling it stops the bot, and returns when it has stopped."""
        execution = await self.astart(executable)
        over: Future[Execution] = Future()
        execution.add_done_callback(over.set_result)
        await _owned(over, give_up=partial(execution.end_soon, Outcome.STOPPED, grace=None), until=over)
        return execution.result

    async def astart(self, executable: Executable) -> Execution:
        """`start`, without blocking the event loop; cancelling it leaves nothing, and returns when nothing is left."""
        given_up = threading.Event()
        begun = self._orchestrator.begin_soon(executable, given_up=given_up)
        over: Future[object] = Future()
        return await _owned(begun, give_up=lambda: _give_up(begun, given_up, over), until=over)

    def map(self, executables: Iterable[Executable], *, at_once: int = 4) -> Iterator[ExecutionResult]:
        """Run executables, so many at a time, and yield their results in their order.

        What runs still when the iteration ends early is stopped, and waited for.

        Args:
            executables: What to run; the next is taken when the oldest result has been.
            at_once: How many run at a time, at most.

        Raises:
            BotdockError: As `start`, in the place of the result.
        """
        left, pending = iter(executables), deque[tuple[Future[Execution], threading.Event]]()
        try:
            while True:
                for executable in islice(left, max(at_once, 1) - len(pending)):
                    given_up = threading.Event()
                    pending.append((self._orchestrator.begin_soon(executable, given_up=given_up), given_up))
                if not pending:
                    return
                result = self._orchestrator.finish(pending[0][0].result())
                pending.popleft()
                yield result
        finally:
            overs: list[Future[object]] = [Future() for _ in pending]
            for (begun, given_up), over in zip(pending, overs, strict=True):
                _give_up(begun, given_up, over)
            for over in overs:
                over.result()

    def warm(self, sizes: Mapping[str, int] | None = None, *, timeout: float = 60.0) -> PoolReport:
        """Keep so many containers waiting for runs, by the name of a runtime; None means `config.pool.sizes`.

        Return how it stands once all wait, or cannot, or after `timeout` seconds; they go when this is closed.
        """
        return self._orchestrator.warm(self.config.pool.sizes if sizes is None else sizes, timeout=timeout)

    def recover(self, *, only: Collection[str] | None = None) -> list[Execution]:
        """Take over the executions of this state folder whose runner has died.

        What still runs is adopted: its log goes on where it stands, its wall time with what is left of it, and it is
        watched, read and stopped like an execution that this runner has started. What has ended meanwhile is finished:
        log, result, outcome, and nothing left behind. Executions whose runner lives are never touched, and of several
        runners that recover at once, exactly one gets each. The evidence of their results says `recovered`. Containers
        and workspaces that belong to no execution are removed once they have been seen twice, ten minutes apart.

        Args:
            only: The ids of the executions to take over; None for all that its engine has run.

        Returns:
            Those that this call took over, the oldest first.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.

        Example:
            ```python
            from botdock import Runner

            with Runner() as runner:
                for execution in runner.recover():
                    result = execution.wait()
                    print(result.execution_id, result.outcome, result.evidence["recovered"])
            ```
        """
        return self._orchestrator.recover(only)

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over, finish or remove now, and what is owed by runners that live.

        Changes nothing.

        Raises:
            BotdockError: The engine does not answer.
        """
        return self._orchestrator.leftovers()

    def close(self, *, stop: bool = True) -> None:
        """Stop what still runs, and let go of engine, storage, sinks and exporters; may be called twice.

        Args:
            stop: Whether to stop; without, bots go on, nothing of their logs is lost, and the next runner that
                recovers adopts them. Their executions are done here, with results that say `running`.
        """
        self._orchestrator.close(stop=stop)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _give_up(begun: Future[Execution], given_up: threading.Event, over: Future[object]) -> None:
    """End what has begun or is about to; `over` is done when nothing of it is left."""

    def end(begun: Future[Execution]) -> None:
        if begun.exception() is not None:
            over.set_result(None)
            return
        begun.result().end_soon(Outcome.STOPPED, grace=None)
        begun.result().add_done_callback(over.set_result)

    given_up.set()
    begun.add_done_callback(end)


async def _owned(future: Future[T], *, give_up: Callable[[], None], until: Future[Any]) -> T:
    """Wait for a future of another thread; when that is cancelled, give up what it stands for, and wait `until` then.

    However often it is cancelled meanwhile: what has been started is never left alone.
    """
    try:
        await _done(future)
    except (asyncio.CancelledError, GeneratorExit) as error:
        give_up()
        while not (until.done() or isinstance(error, GeneratorExit)):
            with suppress(asyncio.CancelledError):
                await _done(until)
        raise
    return future.result()


async def _done(future: Future[Any]) -> None:
    """Wait until a future is done; cancelling the wait does not cancel what is waited for."""
    told: Future[None] = Future()
    future.add_done_callback(lambda _: told.set_result(None))
    await asyncio.shield(asyncio.wrap_future(told))
