"""What is known of one execution, by the stage it has reached; and what its container is made from."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import BotdockError
from botdock.executions._requests import Request, Restart, visible_request
from botdock.model import (
    ContainerHandle,
    ContainerRun,
    ContainerTemplate,
    Executable,
    ExecutionContext,
    ExecutionResult,
    LogSummary,
    Phase,
    Progress,
)
from botdock.model.container import (
    LABEL_ENTRYPOINT,
    LABEL_EXECUTABLE,
    LABEL_EXECUTION,
    LABEL_OWNER,
    LABEL_RUNTIME,
    LABEL_SEGMENT,
    segment_selector,
)
from botdock.model.execution import CONTAINER_PREFIX
from botdock.model.runtime import CONTEXT_FILE, SECRETS_FILE, SECRETS_TARGET
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.plan import Bounds, Plan
from botdock.services.code import Workspace
from botdock.services.masking import Mask
from botdock.services.storing import Storing

ProgressCallback = Callable[[Progress], None]

PROGRAM_TARGET = "/botdock/program"
CONTEXT_TARGET = "/botdock/context"
RESULT_TARGET = "/botdock/result"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_MASK = Mask()


@attrs.frozen(kw_only=True)
class Created:
    """What the steps from the container's creation to its end need.

    Attributes:
        plan: What runs in it.
        container: Names it to the engine.
    """

    plan: Plan
    container: ContainerHandle


@attrs.define(kw_only=True)
class Run:
    """One execution, and what is known of it so far.

    Attributes:
        execution_id: The run; it names the folder.
        executable: What is run.
        engine: Name of the engine.
        storage: Name of the storage that keeps its log and result, if one is to.
        journal: Its folder.
        credentials: The secrets of the configuration.
        restart: Its place in a row of restarts.
        bounds: What it may use; empty where a damaged record does not say.
        workspace: Where code and generated files lie, whether they are there or not.
        member: The folder of the container that had waited for it; None where it has one of its own.
        dispose: Gives that container, once it has ended, back to the pool, which removes it; None where none takes it.
        ended: Whether the engine has said that its container has ended.
        plan: What the code tells, once it has been read.
        container: What names its container to the engine, once it is created.
        creating: Whether the engine was told to create it, and what came of that is not known.
        started_ns: When the engine was told to start it, nanoseconds since the epoch; 0 for not yet.
        started: The same as a moment of `_boot_clock`, which counts; None for not yet.
        written: When a dead runner wrote `run.json`, as such a moment; None where none did.
        collecting: Whether its log is being collected.
        short_output: What the bot wrote, where that is short and still at hand; None to read it from its log.
        left: Whether the runner is closed over the rest of its log, which is its successor's.
        storing: Hands log and result to the storage; None when nothing of it is to be kept there.
        concluded: Its result, once that is written down.
        unmasked: Why the bot's secrets are not known any more, and so what it returned cannot be told; else empty.
        owed: What could not be removed or written at its end, in words; as long as there is any, it is not finished.
        damage: What of its record cannot be read, in words; empty for none.
        phases: Seconds of each phase that was entered.
        evidence: What a reader of the result should know, however the execution ends.
        metadata: What is known of what was run.
    """

    execution_id: str = attrs.field(init=False)
    executable: Executable
    engine: str
    storage: str
    journal: Journal
    credentials: tuple[str, ...] = attrs.field(default=(), repr=lambda value: f"<{len(value)} secrets>")
    restart: Restart = attrs.field(factory=Restart)
    bounds: Bounds = attrs.field(factory=Bounds)
    workspace: Workspace = attrs.field(init=False)
    member: Path | None = None
    dispose: Callable[[], None] | None = None
    ended: bool = False
    plan: Plan | None = None
    container: ContainerHandle | None = None
    creating: bool = False
    started_ns: int = 0
    written: Mapping[str, Any] | None = None
    started: Mapping[str, Any] | None = None
    collecting: bool = False
    short_output: str | None = None
    left: bool = False
    storing: Storing | None = None
    concluded: ExecutionResult | None = None
    unmasked: str = ""
    owed: list[str] = attrs.field(factory=list)
    damage: str = ""
    phases: dict[str, float] = attrs.field(factory=dict)
    evidence: dict[str, Any] = attrs.field(factory=dict)
    metadata: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Take from the journal what it says of the run."""
        self.execution_id = self.journal.directory.name
        self.workspace = Workspace.at(self.journal.workspace.absolute())

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time what is done inside, and write the phase into the error that comes out.

        Raises:
            BotdockError: What was raised inside; an `OSError` becomes one.
        """
        started = time.monotonic()
        self.journal.event("phase", phase=phase.value)
        try:
            yield
        except BotdockError as error:
            error.phase = error.phase or phase.value
            raise
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            hint = "Free some space, or move the state folder with BOTDOCK_HOME." if error.errno in _FULL else None
            wrapped = BotdockError(f"{phase.value}: {error.strerror or error}{where}", hint=hint)
            wrapped.phase = phase.value
            raise wrapped from error
        finally:
            self.phases[phase.value] = self.phases.get(phase.value, 0.0) + time.monotonic() - started

    def stay_in(self, files: Workspace) -> None:
        """Have its files in the folder of the container that had waited for it."""
        self.member = files.root
        self.workspace = attrs.evolve(self.workspace, code=files.code, context=files.context, result=files.result)

    def request(self) -> dict[str, Any]:
        """Return what was asked for, of secrets only their names, and of code given as bytes only its digest."""
        request = Request(
            execution_id=self.execution_id,
            executable=self.executable,
            restart=self.restart,
            engine=self.engine,
            storage=self.storage,
        )
        return visible_request(request)

    def note_code(self, digest: str) -> None:
        """Take note of the digest of its code, and write down, of a bot that is restarted, that it is another one."""
        self.metadata["code_digest"] = self.evidence["code_digest"] = digest
        if self.restart.code:  # that of the execution before this one
            before, self.restart = self.restart, self.restart.of_code(digest)
            if self.restart.generation != before.generation:
                self.journal.renew(self.request())

    @property
    def container_id(self) -> str:
        """The engine's identity of its container; empty for none."""
        return self.container.id if self.container else ""

    @property
    def was_told(self) -> bool:
        """Whether the container may have begun to run it: one that had waited has, once its context is there."""
        return self.member is None or (self.workspace.context / CONTEXT_FILE).exists()

    @property
    def started_at(self) -> datetime | None:
        """When the engine was told to start it; None for not yet."""
        return datetime.fromtimestamp(self.started_ns / 1e9, UTC) if self.started_ns else None

    @property
    def mask(self) -> Mask:
        """Masks what may not be told: the executable's secrets and the configuration's."""
        secrets = [*self.executable.secrets.values(), *self.credentials]
        return Mask(secrets) if secrets else _NO_MASK

    def result(self, **known: Any) -> ExecutionResult:
        """Return the result as far as it is known, with `known` filled in; secrets in what is said are masked."""
        executable, plan, mask = self.executable, self.plan, self.mask
        facts: dict[str, Any] = {
            "execution_id": self.execution_id,
            "id": executable.id,
            "runtime": plan.runtime.name if plan else executable.runtime or "",
            "engine": self.engine,
            "entrypoint": executable.entrypoint,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC) if known.get("outcome") else None,
            "phases": dict(self.phases),
            "log": LogSummary(),
            "container_id": self.container_id,
            "image": plan.image.reference if plan else "",
            "image_digest": plan.image.digest if plan else "",
            "is_long_running": executable.is_long_running,
            "metadata": {"segment": executable.segment, "script": plan.script if plan else "", **self.metadata},
        }
        bounds = {"bounds": self.bounds.evidence()} if self.bounds.sources else {}
        known["evidence"] = bounds | self.evidence | known.get("evidence", {})
        if mask.forms:
            known |= mask({name: known[name] for name in ("message", "error", "evidence") if name in known})
        return ExecutionResult(**(facts | known))


def template_of(
    executable: Executable, bounds: Bounds, plan: Plan, script: Path, *, private: bool
) -> ContainerTemplate:
    """Return what the container of a run has in common with others.

    Args:
        executable: What is run.
        bounds: What it may use.
        plan: What the code tells of it.
        script: The program's `entrypoint.sh`, in a folder that is named by its digest.
        private: Whether the bot sees things at their targets; without, where they are.
    """
    program = script.parent
    return ContainerTemplate(
        image=plan.image.id or plan.image.reference,  # a tag may have been moved since it was looked at
        command=("/bin/sh", f"{PROGRAM_TARGET if private else program}/{script.name}"),
        program=str(program),
        program_digest=program.name,
        program_target=PROGRAM_TARGET,
        code_target=f"/{executable.entrypoint}",
        context_target=CONTEXT_TARGET,
        result_target=RESULT_TARGET,
        limits=bounds.limits,
        keeps_newest=bounds.keeps_newest,
        network=bounds.network,
        interpreters=plan.runtime.interpreters,
    )


def container_run(run: Run, plan: Plan, *, owner: str) -> ContainerRun:
    """Return what a run adds to its template; what the bot is told is in its context, of which engines keep no copy."""
    workspace, executable = run.workspace, run.executable
    selectors = {LABEL_OWNER: owner, LABEL_EXECUTION: run.execution_id}
    if executable.segment is not None:
        selectors[LABEL_SEGMENT] = segment_selector(executable.segment)
    about = {LABEL_EXECUTABLE: executable.id, LABEL_ENTRYPOINT: executable.entrypoint, LABEL_RUNTIME: plan.runtime.name}
    return ContainerRun(
        name=f"{CONTAINER_PREFIX}{run.execution_id}",
        selectors=selectors,
        annotations=about,
        code=str(workspace.code),
        context=str(workspace.context),
        result=str(workspace.result),
        secrets_target=SECRETS_TARGET if executable.secrets else "",
    )


def context_of(run: Run, plan: Plan, *, private: bool) -> ExecutionContext:
    """Return what the wrapper must know, with places as the bot sees them."""
    workspace, executable = run.workspace, run.executable
    variables = {**executable.env, **executable.secrets}
    return ExecutionContext(
        id=executable.id,
        entrypoint=executable.entrypoint,
        script=plan.script,
        config=executable.config,
        code_dir=f"/{executable.entrypoint}" if private else str(workspace.code),
        context_dir=CONTEXT_TARGET if private else str(workspace.context),
        result_file=RESULT_TARGET if private else str(workspace.result),
        result_limit=run.bounds.limits.result or 0,
        variables=variables,
        startup=plan.runtime.startup_names(variables) if variables else (),
        secrets=tuple(executable.secrets),
        secrets_dir=SECRETS_TARGET if private else str(workspace.context / SECRETS_FILE),
    )
