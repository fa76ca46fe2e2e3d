"""The front of botdock: executables run, watched and stopped, with or without asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Self

from botdock.config import Config
from botdock.executions import Executions
from botdock.factory import ServiceFactory
from botdock.model import Executable, ExecutionResult
from botdock.orchestrator import Execution
from botdock.orchestrator.run import ProgressCallback
from botdock.orchestrator.strays import Leftover
from botdock.plugin_manager import PluginManager

if TYPE_CHECKING:
    from botdock.orchestrator.batch import Batch, OnMapProgress
    from botdock.orchestrator.owned import Owned
    from botdock.pool import PoolReport

__all__ = ["Execution", "Runner"]


class Runner:
    """Runs executables. A context manager; safe to use from several threads, and in asyncio: `arun`, `astart`, `amap`.

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
        plugins: Where its engines, runtimes and storages come from.
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
            TypeError: It is not an `Executable`.
            BotdockError: Botdock could not do its part; what was made is removed, now or as soon as it can be.
        """
        return self._orchestrator.begin(executable, progress)

    async def arun(self, executable: Executable) -> ExecutionResult:
        """`run`, without blocking the event loop; cancelling it stops the bot, and returns when it has stopped."""
        owned = self._begin(executable)
        return await owned.get(owned.over)

    async def astart(self, executable: Executable) -> Execution:
        """`start`, without blocking the event loop; cancelling it leaves nothing, and returns when nothing is left."""
        owned = self._begin(executable)
        return await owned.get(owned.begun)

    def map(
        self, executables: Iterable[Executable], *, concurrency: int = 4, progress: OnMapProgress | None = None
    ) -> Generator[ExecutionResult, None, None]:
        """Run executables, so many at a time, and yield their results in the order of the executables.

        One that fails does not end the others, nor does one that cannot be started: its result says why, its outcome
        is `infrastructure_error`, and with a mistake of the caller its evidence has `refused`. When the iteration ends
        early, or raises, what still runs is stopped, and waited for.

        Args:
            executables: What to run. One is taken when it can be started at once, and not before: they may be made one
                by one, and be many. A result waits in memory for those before it.
            concurrency: How many run at a time, at most.
            progress: Told, between the results, how many run and have ended; what it raises ends the iteration.

        Raises:
            UserError: `concurrency` is less than 1, or the runner is closed.
            TypeError: In place of its result, where one is not an `Executable`.

        Example:
            ```python
            from botdock import Config, Executable, Runner

            bots = [Executable(id=f"bot-{n}", file_path="examples/hello-python", config={"name": n}) for n in range(9)]
            with Runner(Config.load(overrides={"engine": "process"})) as runner:
                for result in runner.map(bots, concurrency=3, progress=lambda now: print(now.done, "of", now.total)):
                    print(result.id, result.outcome, result.value)
            ```
        """
        return self._batch(executables, concurrency, progress).results()

    def amap(
        self, executables: Iterable[Executable], *, concurrency: int = 4, progress: OnMapProgress | None = None
    ) -> AsyncGenerator[ExecutionResult, None]:
        """`map`, without blocking the event loop; cancelling it stops what runs, and returns when that has stopped.

        A loop that may be left early closes it: `async with contextlib.aclosing(runner.amap(bots)) as results`. As with
        any asynchronous generator, what was left by `break` alone is stopped a little later, by the event loop.
        """
        return self._batch(executables, concurrency, progress).aresults()

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

    def _begin(self, executable: Executable) -> Owned:
        from botdock.orchestrator.owned import Owned  # which a run without asyncio does not need

        return Owned(self._orchestrator.begin_soon, executable)

    def _batch(self, executables: Iterable[Executable], concurrency: int, progress: OnMapProgress | None) -> Batch:
        from botdock.orchestrator.batch import Batch  # nor a single run

        return Batch(self._orchestrator.begin_soon, executables, concurrency, progress)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
