"""The record of one execution on disk: written so that a crash leaves either the old or the new, never half."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from botdock.errors import BotdockError
from botdock.model.result import ExecutionResult


class Journal:
    """The folder `executions/<execution_id>` of the state folder.

    Args:
        home: The state folder.
        execution_id: The run.
    """

    def __init__(self, home: Path, execution_id: str) -> None:
        self.directory = home / "executions" / execution_id
        self.workspace = self.directory / "workspace"
        self.logs = self.directory / "logs"
        self._events: int | None = None

    def open(self, request: dict[str, Any]) -> None:
        """Make the folder and write `request.json`; readable by nobody else, since a workspace holds secrets.

        Raises:
            BotdockError: The state folder cannot be written.
        """
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700)
            _replace(self.directory / "request.json", request)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._events = os.open(self.directory / "events.jsonl", flags, 0o600)
        except OSError as error:
            self.discard()
            raise BotdockError(
                f"cannot write the state folder {self.directory.parent}: {error.strerror}",
                hint="Make it writable or free some space, or name another one with BOTDOCK_HOME.",
            ) from error

    def event(self, name: str, **data: Any) -> None:
        """Append a step, with wall time and monotonic time in nanoseconds; a full disk loses the step, not the run."""
        if self._events is None:
            return
        entry = {"event": name, "time_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns(), **data}
        with contextlib.suppress(OSError):
            os.write(self._events, json.dumps(entry).encode() + b"\n")

    def finish(self, result: ExecutionResult) -> None:
        """Write `result.json` (what the bot returned) and, last, `outcome.json`: it means finished.

        Raises:
            OSError: The disk took no more.
        """
        _replace(self.directory / "result.json", {"value": result.value})
        self.event("finished", outcome=result.outcome)
        _replace(self.directory / "outcome.json", result.to_json(), durable=True)
        self.close()

    def close(self) -> None:
        """Close the list of events."""
        if self._events is not None:
            os.close(self._events)
            self._events = None

    def discard(self) -> None:
        """Remove the folder: nothing happened that is worth a record."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _replace(path: Path, document: Any, *, durable: bool = False) -> None:
    """Write `document` beside `path` and rename it over; `durable` waits until the disk has it."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
