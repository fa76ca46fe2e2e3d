"""What a dead runner wrote down of a run, read back: `run.json`, `concluded.json`, and the secrets' one place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock._log import logger
from botdock.errors import BotdockError
from botdock.executions._files import CONCLUDED, REQUEST, RUN, load_json, read_json
from botdock.executions._requests import Restart
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    Executable,
    ExecutionResult,
    ImageInfo,
    Limits,
    LogSummary,
    Outcome,
)
from botdock.model.container import LABEL_EXECUTABLE
from botdock.model.executable import MAX_TIMEOUT
from botdock.model.runtime import CONTEXT_FILE
from botdock.orchestrator.journal import RUN_VERSION, Journal
from botdock.orchestrator.plan import Bound, Bounds, Plan
from botdock.orchestrator.run import Run
from botdock.services.code import Workspace
from botdock.services.interfaces import Entrypoints

if TYPE_CHECKING:
    from botdock.orchestrator.preparation import Setting

RECOVERED = "recovered"
"""The event, and the evidence: how often it was taken over, and when."""
_LATEST_NS = 2**63
_IN_A_REQUEST = set(attrs.fields_dict(Executable)) - {"code", "secrets", "limits", "restart"}


def read_run(directory: Path, container: ContainerInfo | None, setting: Setting, entrypoints: Entrypoints) -> Run:
    """Return the run in this folder as its runner left it; `damage` says what of that cannot be read.

    Args:
        directory: Its folder.
        container: Its container, as the engine lists it; None where it lists none.
        setting: Of the runner that takes over.
        entrypoints: Knows the runtimes.

    Raises:
        OSError: It cannot be read now.
        BotdockError: What it needs is not installed here.
    """
    request: Mapping[str, Any] = {}
    document: Mapping[str, Any] | None = {}
    restart, damage = Restart(), []
    try:
        request = load_json(directory / REQUEST) or {}
        executable = _executable_of(request)
        restart = _restart_of(request)
    except ValueError as error:
        damage.append(str(error))
        executable = _unknown(directory, container)
    run = Run(
        executable=executable,
        engine=setting.engine,
        storage=str(request.get("storage") or setting.config.storage),
        journal=Journal(directory.parent.parent, directory.name),
        credentials=setting.credentials,
        restart=restart,
    )
    try:
        document = load_json(directory / RUN)
        if document is not None:
            _restore(run, document, entrypoints)
    except ValueError as error:
        damage.append(str(error))
    if container is not None and document is None and not damage:
        damage.append("it has a container, and no run.json")
    run.damage = "; ".join(damage)
    if (names := request.get("secrets")) and not damage:
        try:
            with _damage(CONTEXT_FILE):  # they are there, and nowhere else
                environment = json.loads((run.workspace.context / CONTEXT_FILE).read_bytes())["environment"]
                secrets = {name: str(environment[name]) for name in names}
            run.executable = attrs.evolve(executable, secrets=secrets)
        except (ValueError, BotdockError) as error:
            run.unmasked = f"its secrets could not be masked in what it says: {error}"
    return run


def _executable_of(request: Mapping[str, Any]) -> Executable:
    """Return what was asked for, without secrets and code that was given as bytes, which are not in a request."""
    with _damage("request.json"):
        fields = {name: value for name, value in request.items() if name in _IN_A_REQUEST}
        return Executable(**fields, limits=Limits(**request["limits"]))


def _restart_of(request: Mapping[str, Any]) -> Restart:
    with _damage("request.json"):
        given = request.get("restart")
        return Restart.read(given) if given else Restart()  # there is none in that of an older botdock


def _unknown(directory: Path, container: ContainerInfo | None) -> Executable:
    """Return what stands for a request that cannot be read."""
    labelled = container.labels.get(LABEL_EXECUTABLE, "") if container else ""
    with suppress(BotdockError):
        return Executable(id=labelled, file_path="unknown")
    return Executable(id=directory.name, file_path="unknown")


def _restore(run: Run, document: Mapping[str, Any], entrypoints: Entrypoints) -> None:
    """Fill a run in with what its `run.json` says.

    Raises:
        ValueError: It is damaged.
        BotdockError: A newer botdock wrote it; or its runtime is not installed, and it is not over.
    """
    if isinstance(version := document.get("version"), int) and version > RUN_VERSION:
        raise BotdockError("a newer botdock wrote its run.json", hint="Recover with that one.")
    with _damage("run.json"):
        bounds = document.get("bounds") or document["allowance"]  # as it is called up to version 2
        run.bounds = Bounds(
            limits=Limits(**bounds["limits"]),
            timeout=_seconds(bounds["timeout"]),
            start_timeout=_seconds(bounds.get("start_timeout")),
            silence_timeout=_seconds(bounds.get("silence_timeout")),
            network=str(bounds["network"]),
            keeps_newest=run.executable.is_long_running,
            sources={name: Bound(**bound) for name, bound in _sources(bounds).items()},
        )
        # only the code's place is taken from there: what is removed lies in its folder
        run.workspace = attrs.evolve(run.workspace, code=Path(document["workspace"]["code"]))
        if slot := document.get("member"):
            run.stay_in(Workspace.at(_member(run, str(slot))))
        image, script = ImageInfo(**document["image"]), str(document["script"])
        run.container = _container(document)
        started_ns = int(document["started_ns"])
        if not 0 <= started_ns < _LATEST_NS:
            raise ValueError("started_ns is not a time")
        run.started_ns, run.started, run.written = started_ns, document.get("started"), document.get("written")
        run.phases.update({str(name): float(seconds) for name, seconds in document["phases"].items()})
        run.evidence.update(document["evidence"])
        run.metadata.update(document["metadata"])
    try:
        run.plan = Plan(runtime=entrypoints.validate_runtime(str(document.get("runtime"))), script=script, image=image)
    except BotdockError:
        if not (run.journal.directory / CONCLUDED).exists():  # else nothing needs it any more
            raise


def _seconds(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and 0 < value <= MAX_TIMEOUT):
        return value
    raise ValueError(f"{value!r} is not a timeout")


def _sources(bounds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who set each bound; up to version 2 that had another name, or was not there."""
    sources: Mapping[str, Any] = bounds.get("sources") or bounds.get("bounds") or {}
    return sources


def _member(run: Run, slot: str) -> Path:
    from botdock.pool import folder_of  # few runs are of a pool

    if (folder := folder_of(run.journal.directory.parent.parent.absolute(), slot)) is None:
        raise ValueError(f"{slot!r} is not a place in a pool")
    return folder


def _container(document: Mapping[str, Any]) -> ContainerHandle | None:
    """Return the handle of the container; version 1 had its id alone, which is enough."""
    if document.get("version") == 1:
        return ContainerHandle(id=str(document["container_id"])) if document["container_id"] else None
    return ContainerHandle.read(document["container"]) if document["container"] else None


def read_concluded(run: Run) -> ExecutionResult | None:
    """Return the result of a run whose end is written down whole, with what its recovery has to add; else None.

    Where what the bot returned is not there whole, it is not a success.
    """
    document = read_json(run.journal.directory / CONCLUDED)
    if document is None:
        return None
    try:
        with _damage("concluded.json"):
            document.pop("status", None)  # which older ones have
            size = int(document["result_file_contents"])
            content = run.journal.value(size) if size else b""
            changes = {
                "execution_id": run.execution_id,
                "outcome": Outcome(document["outcome"]),
                "log": LogSummary(**document["log"]),
                "result_file_contents": content or b"",
                "started_at": _moment(document.get("started_at")),
                "finished_at": _moment(document.get("finished_at")),
                "duration": float(document["duration"]),
                "phases": {str(name): float(seconds) for name, seconds in document["phases"].items()},
                "evidence": {**document["evidence"], RECOVERED: run.evidence[RECOVERED]},
                "metadata": dict(document["metadata"]),
            }
            result = ExecutionResult(**{**document, **changes})
    except ValueError as error:
        logger.bind(error=str(error)).warning("it is concluded once more")
        return None
    run.phases.update(result.phases)
    return result if content is not None else _without_value(result)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _without_value(result: ExecutionResult) -> ExecutionResult:
    lost = "its value is lost: result.json, where it was written down, is absent or damaged"
    evidence = {**result.evidence, "result_lost": lost}
    if not result.succeeded:
        return attrs.evolve(result, evidence=evidence)
    broken = Outcome.INFRASTRUCTURE_ERROR
    return attrs.evolve(result, outcome=broken, error=lost, message=lost, evidence=evidence)


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turn what a damaged document raises into a `ValueError` that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, BotdockError) as error:
        raise ValueError(f"{name} is damaged: {type(error).__name__} {error}") from error
