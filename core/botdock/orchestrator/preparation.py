"""From an executable to a container that runs: the phases before the bot's own time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

import attrs

from botdock._log import logger
from botdock.config import Config, secrets_of
from botdock.entrypoints import begin_result, write_context
from botdock.errors import BotdockError, ExecutableError
from botdock.model import (
    ContainerTemplate,
    Limits,
    LogCursor,
    LogSource,
    LogStream,
    Phase,
    Progress,
    PullProgress,
    Runtime,
)
from botdock.orchestrator.allowance import allowance, check_runtime
from botdock.orchestrator.layout import container_run, context_of, template_of
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import run_document
from botdock.orchestrator.storing import Storing
from botdock.services.code import detect_runtime, read_manifest
from botdock.services.interfaces import Code, Containers, Entrypoints, Logs, Metrics, Storage
from botdock.services.log_store.masking import forms


@attrs.frozen(kw_only=True)
class Services:
    """The six services that the orchestrator joins."""

    containers: Containers
    code: Code
    storage: Storage
    entrypoints: Entrypoints
    logs: Logs
    metrics: Metrics


@attrs.frozen(kw_only=True)
class Setting:
    """What is the same for every execution of one runner.

    Attributes:
        config: The configuration.
        engine: Name of the engine.
        owner: Names the state folder in the labels of containers.
        limits: What an execution may use when nobody says.
    """

    config: Config
    engine: str
    owner: str
    limits: Limits

    @property
    def credentials(self) -> tuple[str, ...]:
        """The secrets of the configuration."""
        return tuple(secrets_of(self.config))


class Watcher(Protocol):
    """Who is told, at once, what a log collection finds out; an `Execution`."""

    def on_limit(self) -> None:
        """Hear that the bot wrote more than it may."""

    def on_failure(self, error: BotdockError) -> None:
        """Hear that its log can be stored no longer."""


class Preparation:
    """Takes a run through the phases from `validate` to `start`.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
    """

    def __init__(self, services: Services, setting: Setting) -> None:
        self._services = services
        self._setting = setting

    def validate(self, run: Run) -> None:
        """Refuse what can be refused before anything exists."""
        with run.clock.phase(Phase.VALIDATE):
            if not run.executable.file_path and not run.executable.code:
                raise ExecutableError(["file_path: names no code; give a folder, an archive, or a key of the storage"])
            self._settle(run)
            if run.executable.runtime is not None:
                run.runtime = self._services.entrypoints.validate_runtime(run.executable.runtime)
                check_runtime(run.runtime, self._setting.config)
            self._services.containers.check_enforcement()

    def prepare(self, run: Run, watcher: Watcher, *, proceed: Callable[[], None] = lambda: None) -> None:
        """Go through the phases that make something, up to a container that runs.

        What a successor must know is on disk before it is needed, should this process die meanwhile.

        Args:
            run: The run.
            watcher: Told of what the log collection finds out.
            proceed: Called between the steps; what it raises ends them.

        Raises:
            BotdockError: With the phase that failed; `undo` removes what was made until then.
        """
        self._fetch(run)
        proceed()
        with run.clock.phase(Phase.PULL):
            self._pull(run)
        proceed()
        with run.clock.phase(Phase.GENERATE):
            template = self._generate(run)
        with run.clock.phase(Phase.CREATE):
            run.journal.save(run_document(run))
            asked = container_run(run, owner=self._setting.owner)
            run.container = self._services.containers.create_container(template, asked)
            run.journal.event("created", container_id=run.container_id)
            run.journal.save(run_document(run))
        with run.clock.phase(Phase.ATTACH):
            self._attach(run, watcher)
        proceed()
        with run.clock.phase(Phase.START):
            run.started_ns = time.time_ns()
            run.journal.save(run_document(run))
            self._services.containers.start_container(run.handle)

    def storing(self, run: Run) -> Storing | None:
        """Return what hands log and result to the storage, if that is wanted."""
        if not (run.executable.persist_results and self._setting.config.features.persistence):
            return None
        if run.storage != (ours := self._setting.config.storage):  # it was taken over by a runner of another storage
            run.evidence["not_stored"] = [f"it was to be kept in storage {run.storage}, and this runner has {ours}"]
            return None
        return Storing(
            self._services.storage,
            execution_id=run.execution_id,
            id=run.executable.id,
            logs=run.journal.logs,
            marker=run.journal.marker,
        )

    def collect(
        self,
        run: Run,
        stream: LogStream | None,
        watcher: Watcher,
        *,
        reopen: Callable[[LogCursor], LogStream] | None = None,
    ) -> None:
        """Begin to collect the log of a container, or go on where somebody else stopped.

        Args:
            run: The run, which has a container.
            stream: Its log from the first byte on; None opens it where what is stored ends.
            watcher: Told of what the collection finds out.
            reopen: Opens the log from a cursor on; None asks the engine.

        Raises:
            BotdockError: The log cannot be stored.
        """
        assert run.runtime is not None and run.allowance is not None, "settled before"  # noqa: S101, PT018 - for the type checker
        containers = self._services.containers

        def resume(cursor: LogCursor) -> LogStream:
            return containers.read_logs(run.handle, cursor, follow=True)

        output, endless = run.allowance.limits.output, run.executable.is_long_running
        self._services.logs.start_collection(
            stream,
            run.journal.logs,
            source=LogSource(execution_id=run.execution_id, id=run.executable.id, runtime=run.runtime.name),
            limit=None if endless else output,
            retain=output if endless else None,
            secrets=[form.encode() for form in forms(run.executable.secrets.values())],
            on_limit=watcher.on_limit,
            on_failure=watcher.on_failure,
            on_segment=run.storing.segment if run.storing else None,
            reopen=reopen or (resume if containers.capabilities.resumable_logs else None),
        )
        run.collecting = True

    def undo(self, run: Run) -> list[str]:
        """Remove container, log collection and workspace; each whatever became of the others.

        Returns:
            What could not be removed, in words.
        """
        problems: list[str] = []
        if (container := run.container) is not None:
            self._attempt(problems, "container", lambda: self._services.containers.remove_container(container))
        if run.collecting:
            self._attempt(problems, "log collection", lambda: self._stop_collection(run))
        if run.workspace is not None:
            workspace = run.workspace
            self._attempt(problems, "workspace", lambda: self._services.code.cleanup_workspace(workspace))
        return problems

    def _stop_collection(self, run: Run) -> None:
        run.collecting = False
        self._services.logs.stop_collection(run.execution_id, exit_known=False)
        self._services.logs.forget(run.execution_id)

    @staticmethod
    def _attempt(problems: list[str], what: str, removal: Callable[[], None]) -> None:
        try:
            removal()
        except (BotdockError, OSError) as error:
            problems.append(f"{what}: {error}")
            logger.bind(what=what, error=str(error)).warning("clean-up left something behind")

    def _settle(self, run: Run, manifest: Limits | None = None) -> None:
        setting = self._setting
        run.allowance = allowance(run.executable, setting.config, defaults=setting.limits, manifest=manifest)

    def _fetch(self, run: Run) -> None:
        code, executable = self._services.code, run.executable
        with run.clock.phase(Phase.FETCH):
            run.workspace = code.prepare_workspace(run.journal.workspace)
            source = code.download_code(
                executable.file_path,
                run.workspace,
                code=executable.code,
                code_digest=executable.code_digest,
                progress=run.meter(Phase.FETCH, executable.file_path),
            )
            run.fetched(source)
        with run.clock.phase(Phase.EXTRACT):
            run.workspace = code.extract_code(
                source,
                run.workspace,
                shared=self._services.containers.capabilities.private_filesystem,
                progress=run.meter(Phase.EXTRACT, executable.file_path),
            )
            run.noted(run.workspace.note)
        with run.clock.phase(Phase.VALIDATE):
            self._recognise(run)

    def _recognise(self, run: Run) -> None:
        """Settle runtime, script and limits, now that the code's own manifest can be read."""
        assert run.workspace is not None, "code was fetched into it"  # noqa: S101 - for the type checker
        tree, executable, entrypoints = run.workspace.code, run.executable, self._services.entrypoints
        manifest = read_manifest(tree)
        if run.runtime is None:
            named = manifest.runtime if manifest else None
            run.runtime = (
                entrypoints.validate_runtime(named)
                if named
                else detect_runtime(tree, executable.entrypoint, self._runtimes())
            )
            check_runtime(run.runtime, self._setting.config)
        scripts = {**(manifest.entrypoints if manifest else {}), **executable.entrypoint_files}
        run.script = self._services.code.validate_code_structure(
            tree, run.runtime, executable.entrypoint, scripts.get(executable.entrypoint)
        )
        self._settle(run, manifest.limits if manifest else None)

    def _runtimes(self) -> list[Runtime]:
        entrypoints = self._services.entrypoints
        return [entrypoints.validate_runtime(name) for name in entrypoints.get_supported_runtimes()]

    def _pull(self, run: Run) -> None:
        assert run.runtime is not None, "recognised before"  # noqa: S101 - for the type checker
        reference = self._services.entrypoints.get_docker_image(run.runtime.name)

        def report(progress: PullProgress) -> None:
            run.progress(
                Progress(phase=Phase.PULL, what=progress.image, current=progress.current, total=progress.total)
            )

        run.image = self._services.containers.pull_image(reference, report)

    def _generate(self, run: Run) -> ContainerTemplate:
        """Write what starts the bot, and what it is told; return what its container is made from."""
        assert run.runtime is not None and run.workspace is not None, "recognised before"  # noqa: S101, PT018 - for the type checker
        script = self._services.entrypoints.create_entrypoint_script(run.runtime, run.journal.programs)
        capabilities = self._services.containers.capabilities
        write_context(context_of(run, private=capabilities.private_filesystem), run.workspace.context)
        begin_result(run.runtime, run.workspace.result)
        if capabilities.log_faults:
            run.evidence["log_faults"] = list(capabilities.log_faults)
        return template_of(run, script, private=capabilities.private_filesystem)

    def _attach(self, run: Run, watcher: Watcher) -> None:
        run.storing = self.storing(run)
        stream = self._services.containers.attach(run.handle)
        with contextlib.ExitStack() as on_error:
            on_error.callback(stream.close)
            self.collect(run, stream, watcher)
            on_error.pop_all()
