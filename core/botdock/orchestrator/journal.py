"""The record of one execution on disk: written so that a crash leaves either the old or the new, never half.

request.json    what was asked for, and `runner`, the id of its holder: there as soon as the folder is
events.jsonl    each step
run.json        what a successor must know to go on; written before a container can be there
stored.json     how much of log and result the storage was given
result.json     what the bot returned, as it came
concluded.json  how it ended, all else of it; written before the container goes, and again with what was left behind
outcome.json    last, once nothing is left behind: it means finished, and only the record for people stays
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock._boot_clock import boot_id, moment
from botdock._log import logger
from botdock._whole_files import publish
from botdock.archive import remove_tree
from botdock.errors import BotdockError
from botdock.executions._files import (
    CONCLUDED,
    EVENTS,
    EXECUTIONS,
    FINISHED,
    OUTCOME,
    PROGRAMS,
    REQUEST,
    RESULT,
    RUN,
    STOP,
    execution_ids,
)
from botdock.executions._lease import HOLDER, Lease, hold, runner_lives
from botdock.model.execution import ExecutionResult

if TYPE_CHECKING:
    from botdock.orchestrator.plan import Plan
    from botdock.orchestrator.run import Run

STORED = "stored.json"
RUN_VERSION = 3
"""Of `run.json`."""
_BEFORE_VALUE, _AFTER_VALUE = b'{"value": ', b"}"
_FOR_A_SUCCESSOR = (CONCLUDED, STORED, RUN, STOP, HOLDER)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_SWEEP_TIMEOUT = 60.0
"""Seconds for the removal of one folder that a dead runner had not removed to its end."""
_DRAFT = "."
"""Begins the name of a folder that is being made or removed; after it come the execution's id and the runner's."""


class Journal:
    """The folder `executions/<execution_id>` of the state folder.

    Args:
        home: The state folder.
        execution_id: The run.

    Attributes:
        made: Whether `open` has made the folder.
    """

    def __init__(self, home: Path, execution_id: str) -> None:
        self.directory = home / EXECUTIONS / execution_id
        self.workspace = self.directory / "workspace"
        self.logs = self.directory / "logs"
        self.programs = home / PROGRAMS
        self.marker = self.directory / STORED
        self._draft: Path | None = None
        self.made = self._recording = False
        self._steps: int | None = None
        self._adding = threading.Lock()

    def open(self, request: dict[str, Any], runner: str) -> None:
        """Make the folder, with `request.json`, held by a runner; for its user alone: a workspace holds secrets.

        Raises:
            BotdockError: The state folder cannot be written.
        """
        self._draft = draft = self.directory.with_name(f"{_DRAFT}{self.directory.name}.{runner}")
        try:
            draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.mkdir(mode=0o700)
            _replace(draft / REQUEST, request)
            hold(draft, runner)
            draft.rename(self.directory)
            self.made = self._recording = True
        except OSError as error:
            self.discard()
            raise BotdockError(
                f"cannot write the state folder {self.directory.parent}: {error.strerror}",
                hint="Make it writable or free some space, or name another one with BOTDOCK_HOME.",
            ) from error

    def reopen(self, runner: str) -> None:
        """Go on with the folder of a runner that died; this one holds it from now on.

        Raises:
            OSError: The disk took no more.
        """
        hold(self.directory, runner)
        steps = self.directory / EVENTS
        if steps.exists() and steps.read_bytes()[-1:] not in {b"", b"\n"}:  # one was not written to its end
            with steps.open("ab") as file:
                file.write(b"\n")
        self._recording = True

    def renew(self, request: dict[str, Any]) -> None:
        """Write `request.json` once more, of an execution that was queued: more is known of it.

        Raises:
            OSError: The disk took no more.
        """
        _replace(self.directory / REQUEST, request)

    def let_go(self) -> None:
        """Hold the folder no longer."""
        self._recording = False
        with contextlib.suppress(OSError):
            (self.directory / HOLDER).unlink(missing_ok=True)

    def event(self, name: str, **data: Any) -> None:
        """Append a step, with wall time and monotonic time in nanoseconds; a full disk loses the step, not the run."""
        if not self._recording:
            return
        entry = {"event": name, "time_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns(), **data}
        with contextlib.suppress(OSError), self._adding:
            descriptor = self._steps or os.open(f"{self.directory}/{EVENTS}", _APPEND, 0o600)
            try:
                os.write(descriptor, json.dumps(entry).encode() + b"\n")
            finally:
                if descriptor != self._steps:
                    os.close(descriptor)

    def save(self, run: Run, plan: Plan, program: str) -> None:
        """Write `run.json`, which holds nothing of secrets.

        Args:
            run: What a successor must know of it.
            plan: What runs in its container.
            program: The digest of the program, which is kept as long as it stands there.

        Raises:
            OSError: The disk took no more.
        """
        bounds, workspace = run.bounds, run.workspace
        document = {
            "version": RUN_VERSION,
            "engine": run.engine,
            "runtime": plan.runtime.name,
            "script": plan.script,
            "program": program,
            "image": {"reference": plan.image.reference, "digest": plan.image.digest},
            "bounds": {
                "limits": attrs.asdict(bounds.limits),
                "timeout": bounds.timeout,
                "start_timeout": bounds.start_timeout,
                "silence_timeout": bounds.silence_timeout,
                "network": bounds.network,
                "sources": bounds.evidence(),
            },
            "workspace": {
                part: str(getattr(workspace, part)) for part in ("root", "code", "context", "result", "spool")
            },
            "member": run.member and f"{run.member.parent.name}.{run.member.name}",
            "container_id": run.container_id,  # by which the index finds it
            "container": run.container and run.container.document,
            "written": moment(),
            "started_ns": run.started_ns,
            "started": run.started,
            "started_at": run.started_at and run.started_at.isoformat(),
            "phases": dict(run.phases),
            "evidence": run.evidence,
            "metadata": run.metadata,
        }
        _replace(self.directory / RUN, document)

    def conclude(self, result: ExecutionResult) -> None:
        """Write `result.json` and `concluded.json`; when it returns, not even a power cut takes them away.

        Raises:
            OSError: The disk took no more.
        """
        self._keep(result.result_file_contents)
        _replace(self.directory / CONCLUDED, result_document(result), durable=True)

    def _keep(self, value: bytes) -> None:
        """Write `result.json`; what is written next to the same folder brings its name to the disk."""
        publish(self.directory / RESULT, _BEFORE_VALUE + value + _AFTER_VALUE if value else b"{}", named=False)

    def value(self, size: int) -> bytes | None:
        """Return what the bot returned, which had `size` bytes, from `result.json`; None when it is not there whole."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with open(os.open(self.directory / RESULT, flags), "rb") as file:  # noqa: PTH123 - a descriptor
                text = file.read()
        except OSError:
            return None
        value = text.removeprefix(_BEFORE_VALUE).removesuffix(_AFTER_VALUE)
        return value if len(value) == size == len(text) - len(_BEFORE_VALUE + _AFTER_VALUE) else None

    def finish(self, result: ExecutionResult) -> None:
        """Write `outcome.json`, last: it means finished; and `result.json`, if there was no room for it before.

        Raises:
            OSError: The disk took no more.
        """
        if not (self.directory / RESULT).exists():
            self._keep(result.result_file_contents)
        self.event(FINISHED, outcome=result.outcome, boot=boot_id())
        _replace(self.directory / OUTCOME, result.record(), durable=True)
        self._recording = False
        tidy(self.directory)

    def discard(self) -> None:
        """Remove the folder, all at once: nothing happened that is worth a record."""
        self._recording = False
        if self._draft is None:
            return
        if self.made:
            with contextlib.suppress(OSError):
                self.directory.rename(self._draft)
        shutil.rmtree(self._draft, ignore_errors=True)

    @contextlib.contextmanager
    def at_hand(self) -> Iterator[None]:
        """Keep the list of steps open meanwhile: a start has many, and who runs many bots cannot keep one for each."""
        with contextlib.suppress(OSError):
            self._steps = os.open(f"{self.directory}/{EVENTS}", _APPEND, 0o600)
        try:
            yield
        finally:
            with self._adding:
                steps, self._steps = self._steps, None
                if steps is not None:
                    os.close(steps)


def result_document(result: ExecutionResult) -> dict[str, Any]:
    """Return what `concluded.json` holds: all of a result, and of its value the size."""
    document = attrs.asdict(result, filter=lambda field, _: field.name not in {"_value", "result_file_contents"})
    document["result_file_contents"] = len(result.result_file_contents)
    times = {name: time.isoformat() for name, time in document.items() if isinstance(time, datetime)}
    return {**document, **times}


def tidy(directory: Path) -> None:
    """Remove from the folder of an execution that has an outcome what only a successor would have needed.

    So do drafts that a writer left that was killed, but not those of a stop: another process may just be writing it.
    """
    drafts = (draft.name for draft in directory.glob("*.tmp") if not draft.name.startswith(f".{STOP}"))
    for name in (*drafts, *_FOR_A_SUCCESSOR):
        with contextlib.suppress(OSError):
            (directory / name).unlink(missing_ok=True)


def tidy_up(home: Path) -> None:
    """Remove what runners had not removed to its end when they died, of what needs no engine.

    That is their leases, the folders that they were making or removing, and, in a folder that has an outcome, what only
    a successor would have needed.
    """
    Lease(home).sweep()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in (home / EXECUTIONS).iterdir():
            _, found, runner = path.name.rpartition(".")
            if path.name.startswith(_DRAFT) and found and not runner_lives(home, runner):
                try:
                    remove_tree(path, timeout=_SWEEP_TIMEOUT)
                except OSError as error:  # the next one tries again
                    logger.bind(path=str(path), error=str(error)).warning("a dead runner's folder was not removed")
    for directory in (home / EXECUTIONS / name for name in execution_ids(home)):
        if (directory / OUTCOME).exists() and (directory / HOLDER).exists():
            tidy(directory)  # its runner died over the last of its work, or is about to do the same


def _replace(path: Path, document: Any, *, durable: bool = False) -> None:
    """Write `document` beside `path` and rename it over; `durable` waits until the disk has it, and its name."""
    publish(path, json.dumps(document).encode(), durable=durable)
