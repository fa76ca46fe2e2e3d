"""The front of botdock: the six methods of the old runner, and the pleasant form of the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from botdock.config import Config
from botdock.errors import BotdockError, ContainerNotFoundError, UserError
from botdock.executions import Executions
from botdock.factory import ServiceFactory
from botdock.model import ContainerInfo, ContainerStatus, Executable, ExecutionResult, LogLine
from botdock.model.container import LABEL_OWNER, LABEL_SEGMENT
from botdock.orchestrator import Execution
from botdock.orchestrator.run import ProgressCallback
from botdock.orchestrator.upkeep import Leftover
from botdock.plugin_manager import PluginManager
from botdock.services.log_store import StoredLog

__all__ = ["DockerRunner", "Execution"]


class DockerRunner:
    """Runs executables. A context manager; safe to use from several threads, and in asyncio by `arun` and `astart`.

    Example:
        ```python
        from botdock import Config, DockerRunner, Executable

        with DockerRunner(Config.load()) as runner:
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
        self.config = config or Config.load()
        self.plugins = plugins or PluginManager.load(self.config.plugins)
        self._factory = ServiceFactory(self.config, self.plugins)
        self._orchestrator = self._factory.create_orchestrator()
        self.metrics = self._factory.metrics
        self.executions = Executions(self.config.home_dir)
        self._closed = False

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
        if self._closed:
            raise BotdockError("this DockerRunner is closed", hint="Make a new one.")
        return self._orchestrator.begin(executable, progress)

    async def arun(self, executable: Executable) -> ExecutionResult:
        """`run`, without blocking the event loop; cancelling it stops the bot."""
        execution = await self.astart(executable)
        try:
            await asyncio.to_thread(execution.wait)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(execution.stop))
            raise
        return execution.result

    async def astart(self, executable: Executable) -> Execution:
        """`start`, without blocking the event loop."""
        return await asyncio.to_thread(self.start, executable)

    def recover(self) -> list[Execution]:
        """Take over the executions of this state folder whose runner has died, in whatever way.

        What still runs is adopted: its log goes on where it stands, its wall time with what is left of it, and it is
        watched, read and stopped like an execution that this runner has started. What has ended meanwhile is finished:
        log, result, outcome, and nothing left behind. Executions whose runner lives are never touched, and of several
        runners that recover at once, exactly one gets each. The evidence of their results says `recovered`. Containers
        and workspaces that belong to no execution are removed once they have been seen twice, ten minutes apart.

        Returns:
            Those that this call took over, the oldest first.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.

        Example:
            ```python
            from botdock import DockerRunner

            with DockerRunner() as runner:
                for execution in runner.recover():
                    result = execution.wait()
                    print(result.execution_id, result.outcome, result.evidence["recovered"])
            ```
        """
        if self._closed:
            raise BotdockError("this DockerRunner is closed", hint="Make a new one.")
        return self._orchestrator.recover()

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over, finish or remove now, and what is owed by runners that live.

        Changes nothing.

        Raises:
            BotdockError: The engine does not answer.
        """
        return self._orchestrator.leftovers()

    def start_container(self, executable: Executable) -> ExecutionResult:
        """Run an executable: return its result or, when it is long-running, at once, with the status `running`."""
        execution = self.start(executable)
        return execution.result if executable.is_long_running else self._orchestrator.finish(execution)

    def stop_container(self, container_id: str, executable: Executable | None = None) -> None:  # noqa: ARG002 - the old runner's signature
        """Stop the execution of that container id or execution id, within the configured grace period."""
        self._orchestrator.stop_execution(container_id)

    def get_container_status(self, container_id: str) -> ContainerStatus:
        """Return what the engine knows of a container.

        Raises:
            ContainerNotFoundError: It knows no such container; one that has ended is gone.
        """
        return self._orchestrator.containers.get_container_status(self._known(container_id))

    def list_managed_containers(self, segment: int | None = None) -> Sequence[ContainerInfo]:
        """Return the containers of this state folder, of one segment or of all."""
        labels = {LABEL_OWNER: self._factory.owner}
        if segment is not None:
            labels[LABEL_SEGMENT] = str(segment)
        return self._orchestrator.containers.list_containers(labels)

    def get_container_logs(self, container_id: str, tail: int = 100) -> str:
        """Return the last `tail` lines that a bot wrote, both streams: while it runs, and after its container is gone.

        Args:
            container_id: The id of its container or of its execution, a prefix of that, or the bot's own id, which
                means its newest execution.
            tail: How many lines.

        Raises:
            UserError: There is no such execution, and no such container.
            LogError: Its log cannot be read.

        Example:
            ```python
            from botdock import DockerRunner, Executable

            with DockerRunner() as runner:
                result = runner.run(Executable(id="hello", file_path="examples/hello-python"))
                print(runner.get_container_logs(result.container_id, tail=10))
            ```
        """
        try:
            record = self.executions.get(container_id)
        except UserError as error:
            try:
                return self._orchestrator.containers.get_container_logs(container_id, tail=tail)
            except ContainerNotFoundError:
                raise error from None
        lines = StoredLog(record.logs).lines(tail=tail)
        return "\n".join(line.text for line in lines if isinstance(line, LogLine))

    def close(self) -> None:
        """Stop what still runs, and let go of engine, storage, sinks and exporters; may be called twice."""
        if not self._closed:
            self._closed = True
            self._orchestrator.close()

    def _known(self, name: str) -> str:
        execution = self._orchestrator.find(name)
        return execution.container_id if execution else name

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
