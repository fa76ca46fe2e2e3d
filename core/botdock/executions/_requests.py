"""What a supervisor is asked to run, as it lies on disk.

executions/<id>/request.json   what was asked for, to be looked at: no secrets; it is there first
requests/<id>.json             all that a supervisor needs, secrets too, for the user alone; with it, it is queued
requests/<id>.code             the code, where it was given as bytes
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from botdock._whole_files import publish
from botdock.errors import BotdockError
from botdock.executions._files import CODE, REQUESTS, load_json
from botdock.executions._records import CRASH_LOOP
from botdock.model import Executable, Limits

_PRIVATE = 0o600
_NOT_AS_IT_IS = {"code", "limits"}


@attrs.frozen(kw_only=True)
class Restart:
    """Where an execution stands in the row of those that follow one another by a restart policy.

    Attributes:
        policy: What was in force for the one before it; empty where there is none.
        previous: The execution that it follows; empty for the first one.
        restarts: How many restarts there were of its generation, this one included.
        in_a_row: How many of them came without a stable time between.
        failures: How many of those followed a failure of the bot itself.
        generation: Counts the changes of code or config within the row, from 1 on.
        not_before: When it may start; None for at once.
        last_error: Why the one before it did not succeed; empty where it did, or there is none.
        code: Digest of the code of its generation; empty while that is not known.
    """

    policy: str = ""
    previous: str = ""
    restarts: int = 0
    in_a_row: int = 0
    failures: int = 0
    generation: int = 1
    not_before: datetime | None = None
    last_error: str = ""
    code: str = ""

    @property
    def is_crash_loop(self) -> bool:
        """Whether its bot fails again and again."""
        return self.in_a_row >= CRASH_LOOP and bool(self.last_error)

    def well(self) -> Restart:
        """Return it without the restarts in a row: its bot has run for a stable time."""
        return attrs.evolve(self, in_a_row=0, failures=0, last_error="")

    def of_code(self, digest: str) -> Restart:
        """Return it with the digest of the code that is run; another one than before is a new generation."""
        if not digest or not self.code or digest == self.code:
            return attrs.evolve(self, code=digest or self.code)
        return attrs.evolve(self.well(), code=digest, restarts=0, generation=self.generation + 1)

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return attrs.asdict(self) | {"not_before": self.not_before and self.not_before.isoformat()}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Restart:
        """Return what `document` made.

        Raises:
            ValueError: It is damaged.
            TypeError: It is damaged.
        """
        due = document.get("not_before")
        return cls(**{**document, "not_before": datetime.fromisoformat(due) if due else None})


@attrs.frozen(kw_only=True)
class Request:
    """What a supervisor is asked to run.

    Attributes:
        execution_id: The run.
        executable: What is to be run, secrets included.
        overrides: What the caller changes in the configuration, nested like its file.
        restart: Its place in a row of restarts.
        successor: The execution that follows it, once that is decided.
        stopped: Whether it was asked to stop, so that nothing is to follow, however it ended.
        engine: Name of the engine; empty for the supervisor's own.
        storage: Name of the storage.
    """

    execution_id: str
    executable: Executable
    overrides: Mapping[str, Any] = attrs.field(factory=dict, repr=lambda value: f"<of {sorted(value)}>")
    restart: Restart = attrs.field(factory=Restart)
    successor: str = ""
    stopped: bool = False
    engine: str = ""
    storage: str = ""


def visible_request(request: Request) -> dict[str, Any]:
    """Return what `request.json` holds: of secrets only their names, and of code given as bytes only its digest."""
    executable = request.executable
    return attrs.asdict(executable) | {
        "secrets": sorted(executable.secrets),
        "code": hashlib.sha256(executable.code).hexdigest() if executable.code else None,
        "execution_id": request.execution_id,
        "engine": request.engine,
        "storage": request.storage,
        "restart": request.restart.document(),
    }


def write_request(home: Path, request: Request) -> None:
    """Write a request for its supervisor, with its code, if that was read; a reader sees it whole or not at all.

    Raises:
        OSError: The disk took no more.
    """
    folder, executable, code = home / REQUESTS, request.executable, request.executable.code
    if code:
        publish(folder / f"{request.execution_id}{CODE}", code, draft=folder / f".{request.execution_id}.code.tmp",
                mode=_PRIVATE)  # fmt: skip
    fields = attrs.asdict(executable) | {"code": "", "restart": executable.restart and str(executable.restart)}
    document = {
        "schema": 1,
        "executable": fields,
        "has_code": (folder / f"{request.execution_id}{CODE}").exists(),
        "overrides": request.overrides,
        "restart": request.restart.document(),
        "successor": request.successor,
        "stopped": request.stopped,
        "engine": request.engine,
        "storage": request.storage,
    }
    path = folder / f"{request.execution_id}.json"
    publish(path, json.dumps(document).encode(), draft=folder / f".{path.name}.tmp", mode=_PRIVATE)


def read_request(home: Path, execution_id: str, *, code: bool = True) -> Request | None:
    """Return the request of an execution, or None when there is none; with its `code` if wanted.

    Raises:
        ValueError: It is damaged for good, or a newer botdock's.
        OSError: It cannot be read now.
    """
    folder = home / REQUESTS
    document = load_json(folder / f"{execution_id}.json")
    if document is None:
        return None
    try:
        fields = {name: value for name, value in document["executable"].items() if name not in _NOT_AS_IT_IS}
        data = (folder / f"{execution_id}{CODE}").read_bytes() if document["has_code"] and code else b""
        return Request(
            execution_id=execution_id,
            executable=Executable(**fields, code=data, limits=Limits(**document["executable"]["limits"])),
            overrides=dict(document["overrides"]),
            restart=Restart.read(document["restart"]),
            successor=str(document["successor"]),
            stopped=bool(document["stopped"]),
            engine=str(document["engine"]),
            storage=str(document["storage"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, FileNotFoundError, BotdockError) as error:
        raise ValueError(f"its request is damaged: {type(error).__name__} {error}") from error
