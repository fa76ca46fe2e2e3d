"""From an executable to a container that runs: the phases before the bot's own time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from botdock._boot_clock import moment
from botdock.config import Config, Policies, secrets_of
from botdock.entrypoints import begin_result, write_context
from botdock.errors import BotdockError, ExecutableError
from botdock.model import (
    LayerState,
    Limits,
    LogCursor,
    LogSource,
    LogStream,
    Outcome,
    Phase,
    Progress,
    PullProgress,
)
from botdock.orchestrator.plan import Plan, allowed_image, bounds_of, recognise
from botdock.orchestrator.run import Created, ProgressCallback, Run, container_run, context_of, template_of
from botdock.services.code import CodeKind, code_root
from botdock.services.interfaces import Code, Meter, Services
from botdock.services.masking import forms
from botdock.services.storing import Storing

if TYPE_CHECKING:
    from botdock.orchestrator.members import Members

End = Callable[[Outcome, str], None]
"""Ends an execution soon, without keeping its caller waiting: told the reason, and what broke on our side."""


@attrs.frozen(kw_only=True)
class Setting:
    """What is the same for every execution of one runner.

    Attributes:
        config: The configuration.
        engine: Name of the engine.
        owner: Names the state folder in the labels of containers.
        limits: What an execution may use where its caller does not say.
        policies: What its caller may ask for; by default what binds the configuration on this machine.
        credentials: The secrets of the configuration.
    """

    config: Config
    engine: str
    owner: str
    limits: Limits
    policies: Policies = attrs.field()
    credentials: tuple[str, ...] = attrs.field(init=False, repr=False)

    @policies.default
    def _that_bind(self) -> Policies:
        return Policies.of(self.config)

    @credentials.default
    def _of_the_configuration(self) -> tuple[str, ...]:
        return tuple(secrets_of(self.config))


class Preparation:
    """Takes a run through the phases from `validate` to `start`.

    Attributes:
        pool: Where containers wait for runs, if any do.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
    """

    def __init__(self, services: Services, setting: Setting) -> None:
        self._services = services
        self._setting = setting
        self.pool: Members | None = None

    def validate(self, run: Run) -> None:
        """Refuse what can be refused before anything exists."""
        executable, setting = run.executable, self._setting
        with run.phase(Phase.VALIDATE):
            if not executable.file_path and not executable.code:
                raise ExecutableError(["file_path: names no code; give a folder, an archive, or a key of the storage"])
            run.bounds = bounds_of(executable, setting.config, setting.policies, defaults=setting.limits)
            if executable.runtime is not None:
                setting.policies.check_runtime(self._services.entrypoints.validate_runtime(executable.runtime))
            self._services.containers.check_enforcement()
            if executable.image is not None:
                allowed_image(executable.image, self._services.entrypoints, self._services.containers)

    def prepare(
        self, run: Run, end: End, *, proceed: Callable[[], None], progress: ProgressCallback | None = None
    ) -> Created:
        """Go through the phases that make something, up to a container that runs.

        What a successor must know is on disk before it is needed, should this process die meanwhile.

        Args:
            run: The run.
            end: Called when its log is too long, or can be stored no longer.
            proceed: Called between the steps, and within long ones; what it raises ends them.
            progress: Told how far long steps are.

        Raises:
            BotdockError: With the phase that failed; `Conclusion.undo` removes what was made until then.
        """

        def report(made: Progress) -> None:
            proceed()
            if progress is not None:
                progress(made)

        services, containers = self._services, self._services.containers
        capabilities = containers.capabilities
        bring(run, services.code, shared=capabilities.private_filesystem, progress=report)
        with run.phase(Phase.VALIDATE):
            plan = run.plan = recognise(
                run, self._setting, code=services.code, entrypoints=services.entrypoints, containers=containers
            )
        proceed()
        with run.phase(Phase.PULL):
            image = containers.pull_image(plan.image.reference, partial(_tell_of_pull, report))
            plan = run.plan = attrs.evolve(plan, image=image)
        proceed()
        with run.phase(Phase.GENERATE):
            script = services.entrypoints.locate_entrypoint_script(plan.runtime, run.journal.programs)
            private, run.evidence["engine"] = capabilities.private_filesystem, capabilities.version
            if faults := capabilities.log_faults:
                run.evidence["log_faults"] = list(faults)
            template = template_of(run.executable, run.bounds, plan, script, private=private)
        if self.pool and (created := self.pool.enter(run, plan, template, end, proceed)):
            return created
        with run.phase(Phase.GENERATE):
            services.entrypoints.create_entrypoint_script(plan.runtime, run.journal.programs)
            self.tell(run, plan)
        with run.phase(Phase.CREATE):
            run.journal.save(run, plan, template.program_digest)
            run.creating = True
            run.container = containers.create_container(template, container_run(run, plan, owner=self._setting.owner))
            run.creating = False
            created = Created(plan=plan, container=run.container)
            run.journal.event("created", container_id=run.container_id)
            run.journal.save(run, plan, template.program_digest)
        with run.phase(Phase.ATTACH), contextlib.ExitStack() as on_error:
            if run.executable.persist_results:
                run.storing = self.storing(run)
            stream = containers.attach(created.container)
            on_error.callback(stream.close)
            self.collect(run, created, stream, end)
            on_error.pop_all()
        proceed()
        with run.phase(Phase.START):
            run.started_ns, run.started = time.time_ns(), moment()
            run.journal.save(run, plan, template.program_digest)
            containers.start_container(created.container)
        return created

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
        created: Created,
        stream: LogStream | None,
        end: End,
    ) -> None:
        """Begin to collect the log of a container, or go on where a dead runner stopped.

        Args:
            run: The run.
            created: Its container.
            stream: Its log from the first byte on; None opens it where what is stored ends.
            end: Called when the log is too long, or can be stored no longer.

        Raises:
            BotdockError: The log cannot be stored.
        """
        containers, most, keeps_newest = self._services.containers, run.bounds.limits.output, run.bounds.keeps_newest
        secrets = run.executable.secrets

        def resume(cursor: LogCursor) -> LogStream:
            return containers.read_logs(created.container, cursor, follow=True)

        def fail(error: BotdockError) -> None:
            end(Outcome.INFRASTRUCTURE_ERROR, f"{error.message}. {error.hint}" if error.hint else error.message)

        self._services.logs.start_collection(
            stream,
            run.journal.logs,
            source=LogSource(execution_id=run.execution_id, id=run.executable.id, runtime=created.plan.runtime.name),
            limit=None if keeps_newest else most,
            retain=most if keeps_newest else None,
            secrets=[form.encode() for form in forms(secrets.values())] if secrets else (),
            on_limit=lambda: end(Outcome.OUTPUT_LIMIT, ""),
            on_failure=fail,
            on_segment=run.storing.segment if run.storing else None,
            reopen=resume if containers.capabilities.resumable_logs else None,
        )
        run.collecting = True

    def tell(self, run: Run, plan: Plan) -> None:
        """Write what the bot is told."""
        begin_result(plan.runtime, run.workspace.result)
        private = self._services.containers.capabilities.private_filesystem
        write_context(context_of(run, plan, private=private), run.workspace.context)


def _tell_of_pull(report: ProgressCallback, made: PullProgress) -> None:
    done = sum(layer.state is LayerState.DONE for layer in made.layers)
    note = made.note or (f"{done} of {len(made.layers)} layers" if made.layers else "")
    report(Progress(phase=Phase.PULL, what=made.image, current=made.current, total=made.total, note=note))


def bring(run: Run, code: Code, *, shared: bool, progress: ProgressCallback | None = None) -> None:
    """Bring the code of a run into its workspace.

    Args:
        run: The run.
        code: Fetches and unpacks it.
        shared: Whether a tree may be one that others see, too.
        progress: Told how far it is.
    """
    executable = run.executable

    def meter(phase: Phase) -> Meter | None:
        return progress and (
            lambda current, total: progress(
                Progress(phase=phase, what=executable.file_path, current=current, total=total)
            )
        )

    with run.phase(Phase.FETCH):
        run.workspace = code.prepare_workspace(run.journal.workspace)
        source = code.download_code(
            executable.file_path,
            run.workspace,
            code=executable.code,
            code_digest=executable.code_digest,
            progress=meter(Phase.FETCH),
        )
        run.journal.event("fetched", kind=source.kind.value, sha256=source.sha256, cached=source.cached)
        if source.sha256:
            run.note_code(f"sha256:{source.sha256}")
        if source.note:
            run.evidence["code"] = source.note
    with run.phase(Phase.EXTRACT):
        run.workspace = code.extract_code(source, run.workspace, shared=shared, progress=meter(Phase.EXTRACT))
        if run.workspace.digest and not source.sha256:
            run.note_code(f"tree:{run.workspace.digest}")
        if run.workspace.note:
            run.evidence["code"] = run.workspace.note
        if source.kind not in {CodeKind.FOLDER, CodeKind.SCRIPT}:
            named = executable.entrypoint_files.get(executable.entrypoint)
            run.workspace = attrs.evolve(run.workspace, code=code_root(run.workspace.code, named))
