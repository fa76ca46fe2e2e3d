"""What is known of one execution while it is under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from botdock.model import (
    ContainerHandle,
    Executable,
    ExecutionResult,
    ImageInfo,
    LogSummary,
    Phase,
    Progress,
    Runtime,
    Status,
)
from botdock.orchestrator.allowance import Allowance
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.phases import PhaseClock
from botdock.orchestrator.storing import Storing
from botdock.services.code import CodeSource, Workspace
from botdock.services.interfaces import Meter
from botdock.services.log_store.masking import Mask

ProgressCallback = Callable[[Progress], None]


@attrs.define(kw_only=True)
class Run:
    """One execution; filled in phase by phase.

    Attributes:
        execution_id: The run.
        executable: What is run.
        engine: Name of the engine.
        storage: Name of the storage that keeps its log and result, if one is to.
        journal: Its folder.
        clock: Times its phases.
        progress: Told how far long steps are.
        workspace: Where the code and the generated files lie, once there is one.
        runtime: Its language, once it is known.
        allowance: What it may use, once that is settled.
        script: The script that is run, once it is known.
        image: The image, once it is there.
        container: What names its container to the engine, once there is one.
        started_ns: When the engine was told to start it, nanoseconds since the epoch; 0 for not yet.
        collecting: Whether its log is being collected.
        over_limit: Whether more came than its log may take.
        storing: Hands log and result to the storage; None when nothing of it is to be kept there.
        concluded: Its result, once that is written down.
        credentials: The secrets of the configuration.
        unmasked: Why the bot's secrets are not known any more, and so what it returned cannot be told; else empty.
        owed: What could not be removed or written at its end, in words; as long as there is any, it is not finished.
        damage: What of its record cannot be read, in words; empty for none.
        evidence: What a reader of the result should know, however the execution ends.
        metadata: What is known of what was run.
    """

    execution_id: str
    executable: Executable
    engine: str
    storage: str
    journal: Journal
    clock: PhaseClock
    progress: ProgressCallback
    workspace: Workspace | None = None
    runtime: Runtime | None = None
    allowance: Allowance | None = None
    script: str = ""
    image: ImageInfo = attrs.field(factory=lambda: ImageInfo(reference=""))
    container: ContainerHandle | None = None
    started_ns: int = 0
    collecting: bool = False
    over_limit: bool = False
    storing: Storing | None = None
    concluded: ExecutionResult | None = None
    credentials: tuple[str, ...] = attrs.field(default=(), repr=lambda value: f"<{len(value)} secrets>")
    unmasked: str = ""
    owed: list[str] = attrs.field(factory=list)
    damage: str = ""
    evidence: dict[str, Any] = attrs.field(factory=dict)
    metadata: dict[str, Any] = attrs.field(factory=dict)

    @classmethod
    def of(
        cls, journal: Journal, executable: Executable, *, engine: str, storage: str, credentials: tuple[str, ...]
    ) -> Run:
        """Return a run of which nothing is done yet, with the record of it in `journal`."""
        return cls(
            execution_id=journal.directory.name,
            executable=executable,
            engine=engine,
            storage=storage,
            journal=journal,
            clock=PhaseClock(lambda phase: journal.event("phase", phase=phase.value)),
            progress=lambda _progress: None,
            credentials=credentials,
        )

    def fetched(self, source: CodeSource) -> None:
        """Note which code it is."""
        self.journal.event("fetched", kind=source.kind.value, sha256=source.sha256, cached=source.cached)
        if source.sha256:
            self.metadata["code_digest"] = f"sha256:{source.sha256}"
        self.noted(source.note)

    def noted(self, note: str) -> None:
        """Keep what a reader of the result should know of the code, if there is anything."""
        if note:
            self.evidence["code"] = note

    def meter(self, phase: Phase, what: str) -> Meter:
        """Return what a long step reports its bytes to."""
        return lambda current, total: self.progress(Progress(phase=phase, what=what, current=current, total=total))

    def request(self) -> dict[str, Any]:
        """Return what was asked for, of secrets only their names, and of code given as bytes only its digest."""
        executable = self.executable
        document = attrs.asdict(attrs.evolve(executable, code=b""))
        document["secrets"] = sorted(executable.secrets)
        document["code"] = hashlib.sha256(executable.code).hexdigest() if executable.code else None
        return document | {"execution_id": self.execution_id, "engine": self.engine, "storage": self.storage}

    def digest(self) -> str:
        """Return the SHA-256 of the executable as it was asked for, secrets left out."""
        document = {**self.request(), "execution_id": "", "engine": "", "storage": ""}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    @property
    def container_id(self) -> str:
        """The engine's identity of its container; empty for none."""
        return self.container.id if self.container else ""

    @property
    def handle(self) -> ContainerHandle:
        """What names its container, which is there."""
        assert self.container is not None, "created before"  # noqa: S101 - for the type checker
        return self.container

    @property
    def started_at(self) -> datetime | None:
        """When the engine was told to start it; None for not yet."""
        return datetime.fromtimestamp(self.started_ns / 1e9, UTC) if self.started_ns else None

    @property
    def mask(self) -> Mask:
        """Masks what may not be told: the executable's secrets and the configuration's."""
        return Mask([*self.executable.secrets.values(), *self.credentials])

    def result(self, **known: Any) -> ExecutionResult:
        """Return the result as far as it is known, with `known` filled in; secrets in what is said are masked."""
        executable = self.executable
        facts: dict[str, Any] = {
            "execution_id": self.execution_id,
            "id": executable.id,
            "runtime": self.runtime.name if self.runtime else executable.runtime or "",
            "engine": self.engine,
            "entrypoint": executable.entrypoint,
            "status": Status.RUNNING,
            "started_at": self.started_at,
            "phases": dict(self.clock.seconds),
            "log": LogSummary(),
            "container_id": self.container_id,
            "image": self.image.reference,
            "image_digest": self.image.digest,
            "is_long_running": executable.is_long_running,
            "metadata": {"segment": executable.segment, "script": self.script, **self.metadata},
        }
        bounds = {"bounds": self.allowance.evidence()} if self.allowance else {}
        mask, evidence = self.mask, {**bounds, **self.evidence, **known.pop("evidence", {})}
        ended = {"finished_at": datetime.now(UTC)} if known.get("outcome") else {}
        said = {name: mask(known[name]) for name in ("message", "error") if name in known}
        return ExecutionResult(**(facts | ended | known | said), evidence=mask(evidence))

    def amend(self, result: ExecutionResult, **evidence: Any) -> ExecutionResult:
        """Return the result with more evidence, in which secrets are masked."""
        return attrs.evolve(result, evidence={**result.evidence, **self.mask(evidence)})
