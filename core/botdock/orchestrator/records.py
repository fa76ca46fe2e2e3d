"""Finds the record of an execution in the state folder, whichever process ran it, and whether it still runs."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from botdock._ownership import is_ours, part_fault
from botdock.errors import UserError, nearest
from botdock.model.execution_id import EXECUTION_ID, container_name
from botdock.orchestrator.lease import holder_lives

EXECUTIONS = "executions"
REQUEST, RUN, CONCLUDED, OUTCOME = "request.json", "run.json", "concluded.json", "outcome.json"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SHOWN = 3
_PREFIX = re.compile(r"[0-9a-z]{1,26}")


@attrs.frozen(kw_only=True)
class ExecutionRecord:
    """What the state folder holds of one execution.

    Attributes:
        execution_id: The run.
        directory: Its folder.
        request: What was asked for, of secrets only their names; empty when it cannot be read.
        outcome: The document of its result; None while there is none.
    """

    execution_id: str
    directory: Path
    request: dict[str, Any]
    outcome: dict[str, Any] | None

    @classmethod
    def at(cls, directory: Path) -> ExecutionRecord:
        """Read the folder of an execution.

        Raises:
            UserError: It, or its log, is a link or another user's, so nothing there is to be believed.
        """
        for path in (directory, directory / "logs"):
            if fault := part_fault(path):
                raise UserError(f"an execution is not read: {fault}", hint=f"{fault.remedy}, or remove {directory}.")
        return cls(
            execution_id=directory.name,
            directory=directory,
            request=read_json(directory / REQUEST) or {},
            outcome=read_json(directory / OUTCOME),
        )

    @property
    def logs(self) -> Path:
        """The folder of its log; `StoredLog` reads it."""
        return self.directory / "logs"

    def alive(self) -> bool:
        """Whether it is under way: it has no outcome yet, and the runner that holds it lives; asks anew."""
        return not (self.directory / OUTCOME).exists() and holder_lives(self.directory)

    def orphaned(self) -> bool:
        """Whether it has no outcome, and nobody who will write one; asks anew. `botdock recover` mends that."""
        return is_orphan(self.directory)


def find_execution(home: Path, name: str) -> ExecutionRecord:
    """Return the record of an execution.

    Args:
        home: The state folder.
        name: The execution's id, a prefix that no other one has, the name of its container, or the id of a bot or
            backtest, which means the newest execution of it.

    Raises:
        UserError: There is none, or several executions' ids begin so.
    """
    ids = execution_ids(home)
    wanted = name.removeprefix(container_name(""))
    begun = [found for found in ids if found.startswith(wanted)] if _PREFIX.fullmatch(wanted) else []
    if len(begun) == 1:
        return ExecutionRecord.at(home / EXECUTIONS / begun[0])
    for record in _newest_first(home, ids):
        if record.request.get("id") == name:
            return record
    if begun:
        shown = ", ".join(begun[-_SHOWN:])
        raise UserError(
            f"{len(begun)} executions have an id that begins with {name!r}, the newest of them {shown}",
            hint="Write more of its characters.",
        )
    raise _unknown(home, name, ids)


def find_container(home: Path, container_id: str) -> ExecutionRecord | None:
    """Return the record of the execution whose container had that identity, or None."""
    for record in _newest_first(home, execution_ids(home)):
        known = record.outcome or read_json(record.directory / RUN) or {}
        if known.get("container_id") == container_id:
            return record
    return None


def execution_ids(home: Path) -> list[str]:
    """Return the ids of all executions that the state folder knows, the oldest first."""
    try:
        with os.scandir(home / EXECUTIONS) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(filter(EXECUTION_ID.fullmatch, names))


def is_orphan(directory: Path) -> bool:
    """Tell whether the execution in this folder has no outcome, and nobody who will write one.

    Who writes it lets go of the execution afterwards: so it is looked for last.
    """
    return not holder_lives(directory) and not (directory / OUTCOME).exists()


def is_owed(directory: Path) -> bool:
    """Tell whether the execution in this folder is over, but not finished: something of it could not be removed yet."""
    return (directory / CONCLUDED).exists() and not (directory / OUTCOME).exists()


def owed_folders(home: Path) -> list[Path]:
    """Return the folders of the executions that are over, but not finished; some microseconds for each other one."""
    folder = str(home / EXECUTIONS)
    ids = [found for found in execution_ids(home) if os.path.exists(f"{folder}/{found}/{CONCLUDED}")]  # noqa: PTH110 - the quickest
    return [directory for directory in (home / EXECUTIONS / found for found in ids) if is_owed(directory)]


def left_behind(directory: Path) -> list[str]:
    """Return what could not be removed of the execution in this folder, in words."""
    evidence = (read_json(directory / CONCLUDED) or {}).get("evidence")
    problems = evidence.get("left_behind") if isinstance(evidence, dict) else None
    return [str(problem) for problem in problems] if isinstance(problems, list) else []


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when there is none that can be read, or a link, or another user's, in its place."""
    try:
        return load_json(path)
    except (OSError, ValueError):
        return None


def load_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None when there is no such file.

    Raises:
        ValueError: The file is damaged, for good; or a link, or another user's, is in its place.
        OSError: It cannot be read now.
    """
    try:
        with open(os.open(path, _READ), "rb") as file:  # noqa: PTH123 - a descriptor
            document = json.load(file) if is_ours(os.fstat(file.fileno())) else "another user's"
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    except OSError as error:
        if error.errno in {errno.EIO, errno.EISDIR, errno.ELOOP}:
            raise ValueError(f"{path.name} is damaged: {error}") from error
        raise
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is damaged: it is not a JSON object")  # noqa: TRY004 - of a document, not of a caller
    return document


def _newest_first(home: Path, ids: list[str]) -> Iterator[ExecutionRecord]:
    return (ExecutionRecord.at(home / EXECUTIONS / found) for found in reversed(ids))


def _unknown(home: Path, name: str, ids: list[str]) -> UserError:
    if not ids:
        return UserError(f"no execution {name[:80]!r}: {home} holds none at all", hint="`botdock run CODE` makes one.")
    bots = {str(record.request["id"]) for record in _newest_first(home, ids) if "id" in record.request}
    near = nearest(name, [*ids, *sorted(bots)])
    meant = f"did you mean {' or '.join(near)}?" if near else f"the newest is {ids[-1]}"
    return UserError(
        f"no execution {name[:80]!r} in {home}; {meant}",
        hint="Give an execution's id, the beginning of one, or the id of a bot, whose newest execution it is then.",
    )
