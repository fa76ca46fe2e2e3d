"""What a successor must know of a run, as JSON, and back: `run.json`, `concluded.json`, and the secrets' one place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import BotdockError
from botdock.model import ContainerHandle, Executable, ExecutionResult, ImageInfo, Limits, LogSummary, Outcome, Status
from botdock.model.runtime import CONTEXT_FILE
from botdock.orchestrator.allowance import Allowance, Bound
from botdock.orchestrator.run import Run
from botdock.services.code import Workspace

VERSION = 2
_LATEST_NS = 2**63
_NOT_IN_A_REQUEST = {"execution_id", "engine", "storage", "code", "secrets", "limits"}
_PATHS = ("root", "code", "context", "result", "spool")


def run_document(run: Run) -> dict[str, Any]:
    """Return what `run.json` holds, once a run is settled; of secrets nothing."""
    assert run.workspace is not None and run.runtime is not None and run.allowance is not None, "settled before"  # noqa: S101, PT018 - for the type checker
    return {
        "version": VERSION,
        "engine": run.engine,
        "runtime": run.runtime.name,
        "script": run.script,
        "image": {"reference": run.image.reference, "digest": run.image.digest},
        "allowance": attrs.asdict(run.allowance),
        "workspace": {name: str(getattr(run.workspace, name)) for name in _PATHS},
        "container_id": run.container_id,  # by which the index finds it
        "container": run.container and run.container.document,
        "started_ns": run.started_ns,
        "started_at": run.started_at and run.started_at.isoformat(),
        "phases": dict(run.clock.seconds),
        "evidence": run.evidence,
        "metadata": run.metadata,
    }


def executable_of(request: Mapping[str, Any], secrets: Mapping[str, str]) -> Executable:
    """Return what `request.json` asked for; code that was given as bytes is not in it, and no longer needed.

    Raises:
        ValueError: It is no request.
    """
    with _damage("request.json"):
        fields = {name: value for name, value in request.items() if name not in _NOT_IN_A_REQUEST}
        return Executable(**fields, limits=Limits(**request["limits"]), secrets=dict(secrets))


def restore(run: Run, document: Mapping[str, Any]) -> None:
    """Fill a run in with what its `run.json` says.

    Raises:
        ValueError: It is none.
        BotdockError: A newer botdock wrote it.
    """
    if isinstance(version := document.get("version"), int) and version > VERSION:
        raise BotdockError("a newer botdock wrote its run.json", hint="Recover with that one.")
    with _damage("run.json"):
        allowed = document["allowance"]
        run.allowance = Allowance(
            limits=Limits(**allowed["limits"]),
            timeout=allowed["timeout"],
            network=str(allowed["network"]),
            bounds={name: Bound(**bound) for name, bound in allowed.get("bounds", {}).items()},
        )
        folders = document["workspace"]
        folders = {"context": folders.get("files"), **folders}  # as version 1 called it
        root, code, context, result, spool = (Path(folders[name]) for name in _PATHS)
        run.workspace = Workspace(root=root, code=code, context=context, result=result, spool=spool)
        run.image = ImageInfo(**document["image"])
        run.script = str(document["script"])
        run.container = _container(document)
        run.started_ns = int(document["started_ns"])
        if not 0 <= run.started_ns < _LATEST_NS:
            raise ValueError("started_ns is not a time")
        run.clock.seconds.update({str(name): float(seconds) for name, seconds in document["phases"].items()})
        run.evidence.update(document["evidence"])
        run.metadata.update(document["metadata"])


def _container(document: Mapping[str, Any]) -> ContainerHandle | None:
    """Return the handle of the container; version 1 had its id alone, which is enough."""
    if document.get("version") == 1:
        return ContainerHandle(id=str(document["container_id"])) if document["container_id"] else None
    return ContainerHandle.read(document["container"]) if document["container"] else None


def read_secrets(context: Path, names: list[str]) -> dict[str, str]:
    """Return the secrets of a run that has a workspace; they are in its context, and nowhere else.

    Args:
        context: Its context folder.
        names: Those that its request names.

    Raises:
        ValueError: One of them is not there.
    """
    if not names:
        return {}
    with _damage(CONTEXT_FILE):
        environment = json.loads((context / CONTEXT_FILE).read_bytes())["environment"]
        return {name: str(environment[name]) for name in names}


def result_document(result: ExecutionResult) -> dict[str, Any]:
    """Return what `concluded.json` holds: all of a result, and of its value the size."""
    document = attrs.asdict(result, filter=lambda field, _: field.name not in {"_value", "result_file_contents"})
    document["result_file_contents"] = len(result.result_file_contents)
    times = {name: moment.isoformat() for name, moment in document.items() if isinstance(moment, datetime)}
    return {**document, **times}


def result_of(document: Mapping[str, Any], value: Callable[[int], bytes | None]) -> ExecutionResult:
    """Return the result that a `concluded.json` holds.

    Args:
        document: Its content.
        value: Returns what the bot returned, of so many bytes; None when it is not there whole, which is no success.

    Raises:
        ValueError: It is none.
    """
    with _damage("concluded.json"):
        size = int(document["result_file_contents"])
        content = value(size) if size else b""
        changes = {
            "status": Status(document["status"]),
            "outcome": Outcome(document["outcome"]),
            "log": LogSummary(**document["log"]),
            "result_file_contents": content or b"",
            "started_at": _moment(document.get("started_at")),
            "finished_at": _moment(document.get("finished_at")),
            "duration": float(document["duration"]),
            "phases": {str(name): float(seconds) for name, seconds in document["phases"].items()},
            "evidence": dict(document["evidence"]),
            "metadata": dict(document["metadata"]),
        }
        result = ExecutionResult(**{**document, **changes})
        return result if content is not None else _without_value(result)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _without_value(result: ExecutionResult) -> ExecutionResult:
    lost = "its value is lost: result.json, where it was written down, is absent or damaged"
    evidence = {**result.evidence, "result_lost": lost}
    if not result.succeeded:
        return attrs.evolve(result, evidence=evidence)
    broken = Outcome.INFRASTRUCTURE_ERROR
    return attrs.evolve(result, outcome=broken, status=broken.status, error=lost, message=lost, evidence=evidence)


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turn what a damaged document raises into a `ValueError` that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, BotdockError) as error:
        raise ValueError(f"{name} is damaged: {type(error).__name__} {error}") from error
