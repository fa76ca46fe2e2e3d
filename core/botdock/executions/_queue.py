"""Executions that wait for a supervisor: asked for, looked at and withdrawn, from any process.

One is queued as long as it has a request, neither a `run.json` nor an end, and no runner that lives holds it. What
makes an end of that, the supervisor that takes it and the process that withdraws it, claims its folder first, so there
is one of them. Its request goes when it has been started, or, where it may be restarted, when its end is decided on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from botdock._boot_clock import moment
from botdock._locks import locked, locked_at_once
from botdock._whole_files import make_private, publish, sync_folder
from botdock.errors import BotdockError, UserError
from botdock.executions._files import (
    EVENTS,
    EXECUTIONS,
    FINISHED,
    OUTCOME,
    REQUEST,
    REQUESTS,
    RESULT,
    STOP,
    SUPERVISOR,
    forget_request,
    is_waiting,
    read_json,
    remove_folder,
    request_ids,
)
from botdock.executions._lease import HOLDER, Lease, claiming, hold, holder_lives
from botdock.executions._records import ExecutionRecord, ExecutionState
from botdock.executions._requests import Request, Restart, read_request, visible_request, write_request
from botdock.model import ExecutionResult, Outcome

_LOCK_PATIENCE = 60.0
"""Seconds to wait for others that ask at the same time; each needs some milliseconds."""
_MAKING = 10.0
"""Seconds that a supervisor has to decide on what follows an end, and to make it; it needs some milliseconds."""


def submit(home: Path, request: Request, *, most: int) -> None:
    """Ask a supervisor to run something; when this returns, not even a power cut takes the request away.

    Args:
        home: The state folder, which is there.
        request: What is asked for.
        most: How many may wait at once.

    Raises:
        UserError: As many wait already.
        BotdockError: The state folder cannot be written.
    """
    directory, lease = home / EXECUTIONS / request.execution_id, Lease(home)
    try:
        make_private(home / REQUESTS)
        _check_room(home, most)
        _make_folder(directory, request, lease.hold())
        with locked(home / REQUESTS / ".lock", timeout=_LOCK_PATIENCE):
            try:
                _check_room(home, most)
                write_request(home, request)
            except BaseException:
                remove_folder(directory)
                raise
    except OSError as error:
        raise BotdockError(
            f"cannot write the state folder {home}: {error.strerror or error}",
            hint="Make it writable or free some space, or name another one with BOTDOCK_HOME.",
        ) from error
    finally:
        lease.give_up()


def change_request(home: Path, execution_id: str, change: Callable[[Request], Request]) -> Request | None:
    """Change a request, alone at that, and return it; None where there is none that can be read.

    Raises:
        OSError: The disk took no more.
    """
    if not (home / REQUESTS / f"{execution_id}.json").exists():
        return None
    with locked(home / REQUESTS / ".lock", timeout=_LOCK_PATIENCE), suppress(ValueError):
        request = read_request(home, execution_id, code=False)
        if request is not None and (changed := change(request)) != request:
            write_request(home, changed)
            return changed
        return request
    return None


def call_off(directory: Path) -> Path | None:
    """See to it that nothing follows the execution in this folder; return the folder of what follows it already.

    Raises:
        BotdockError: The disk took no more.
    """
    home = directory.parent.parent
    try:
        request = change_request(home, directory.name, lambda one: attrs.evolve(one, stopped=True))
    except OSError as error:
        raise BotdockError(f"cannot write {home / REQUESTS}: {error.strerror or error}") from error
    if request is None or not request.successor:
        return None
    followed, deadline = directory.with_name(request.successor), time.monotonic() + _MAKING
    while (home / REQUESTS / f"{directory.name}.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # its supervisor is just making it
    return followed if followed.is_dir() else None


def check_removable(record: ExecutionRecord) -> None:
    """Raise `UserError` where an execution has not ended, or may be restarted; that is decided soon."""
    name = record.execution_id
    if record.state is not ExecutionState.ENDED:
        dead = record.state is ExecutionState.ABANDONED
        hint = "`botdock recover` finishes it." if dead else f"`botdock stop {name}` ends it."
        raise UserError(f"execution {name} has not ended: it is {record.state}", hint=hint)
    if not _is_decided(record.directory.parent.parent, name):
        hint = f"A supervisor decides that. After `botdock stop {name}` it is not restarted."
        raise UserError(f"execution {name} has ended, but whether it is restarted is not decided yet", hint=hint)


def _is_decided(home: Path, execution_id: str) -> bool:
    deadline = time.monotonic() + _MAKING
    while (undecided := _is_undecided(home, execution_id)) and time.monotonic() < deadline:
        with locked_at_once(home / SUPERVISOR) as none_lives:
            if none_lives:
                break
        time.sleep(0.01)
    return not undecided


def _is_undecided(home: Path, execution_id: str) -> bool:
    try:
        request = read_request(home, execution_id, code=False)
    except ValueError:  # nothing can follow it
        return False
    except OSError:
        return True
    return request is not None and not request.stopped


def _check_room(home: Path, most: int) -> None:
    found = sum(1 for directory in waiting_folders(home) if not (due := due_at(directory)) or due <= datetime.now(UTC))
    if found >= most:
        raise UserError(
            f"{found} executions wait already, and no more may (supervisor.queue = {most})",
            hint="Wait for some to end, stop some, or raise supervisor.queue or supervisor.parallel.",
        )


def _make_folder(directory: Path, request: Request, runner: str) -> None:
    """Make the folder of an execution, held by us until its request is there: else it belongs to a dead runner."""
    draft = directory.with_name(f".{directory.name}.{runner}")
    make_private(draft.parent)
    draft.mkdir(mode=0o700)
    (draft / EVENTS).touch(mode=0o600)
    hold(draft, runner)
    publish(draft / REQUEST, json.dumps(visible_request(request)).encode())  # last: it brings all names to the disk
    draft.rename(directory)
    sync_folder(directory.parent)


def waiting_folders(home: Path) -> Iterator[Path]:
    """Yield the folders of the executions that are queued, or about to be taken."""
    folders = (home / EXECUTIONS / execution_id for execution_id in request_ids(home))
    return (directory for directory in folders if directory.is_dir() and is_waiting(directory))


def due_at(directory: Path) -> datetime | None:
    """Return before which time the execution in this folder does not start; None for at once."""
    restart = (read_json(directory / REQUEST) or {}).get("restart")
    with suppress(KeyError, TypeError, ValueError):
        return Restart.read(restart).not_before if restart else None
    return None


def is_queued(directory: Path) -> bool:
    """Tell whether the execution in this folder waits for a supervisor, and none has taken it."""
    return is_waiting(directory) and not holder_lives(directory)


def withdraw(directory: Path, outcome: Outcome, why: str, **evidence: Any) -> bool:
    """End an execution that waits for a supervisor; return whether it did, and no other process was quicker.

    Raises:
        BotdockError: The disk took no more.
    """
    with claiming(directory) as ours:
        if not ours or not is_queued(directory):
            return False
        try:
            _write_end(directory, outcome, why, evidence)
            if outcome is Outcome.STOPPED:  # nothing follows that
                forget_request(directory.parent.parent, directory.name)
        except OSError as error:
            raise BotdockError(f"cannot write {directory}: {error.strerror or error}") from error
    return True


def _write_end(directory: Path, outcome: Outcome, why: str, evidence: Mapping[str, Any]) -> None:
    request = read_json(directory / REQUEST) or {}
    result = ExecutionResult(
        execution_id=directory.name,
        id=str(request.get("id") or ""),
        runtime=str(request.get("runtime") or ""),
        engine=str(request.get("engine") or ""),
        entrypoint=str(request.get("entrypoint") or "bot"),
        outcome=outcome,
        error=why,
        evidence=dict(evidence),
        finished_at=datetime.now(UTC),
    )
    publish(directory / RESULT, b"{}")
    event = {"event": FINISHED, "time_ns": time.time_ns(), **moment(), "outcome": outcome}
    with suppress(OSError), (directory / EVENTS).open("ab") as events:
        events.write(json.dumps(event).encode() + b"\n")
    publish(directory / OUTCOME, json.dumps(result.record()).encode())
    for name in (STOP, HOLDER):
        (directory / name).unlink(missing_ok=True)
