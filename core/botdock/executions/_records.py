"""What is told of one execution."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from botdock.executions._files import WAITING, is_owed, left_behind, read_events
from botdock.model.execution import Outcome

CRASH_LOOP = 3
"""Restarts in a row, each after an end that is not a success, from which on a bot is in a crash loop."""


class ExecutionState(StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"
    """It waits for its turn, or for a supervisor."""
    RESTARTING = "restarting"
    """It waits for the time at which it follows the one before it; see `ExecutionRecord.not_before`."""
    STARTING = "starting"
    """Its runner prepares it."""
    RUNNING = "running"
    """Its container was told to start."""
    STOPPING = "stopping"
    """It was asked to stop, and has not ended yet."""
    ENDED = "ended"
    """It has an outcome."""
    ABANDONED = "abandoned"
    """It has no outcome, and its runner died; `botdock recover` finishes it."""


@attrs.frozen(kw_only=True)
class ExecutionRecord:
    """What the state folder tells of one execution, at the moment of the look.

    Attributes:
        execution_id: The run; sorts by time.
        id: The bot or backtest.
        entrypoint: `bot` or `backtest`.
        runtime: Canonical name of its runtime; empty while it is not known.
        engine: Name of the engine.
        container_id: The engine's identity of its container; empty while there is none.
        state: Where it stands.
        outcome: How it ended; None while it has not, or where it was removed before that was read.
        exit_code: The bot's own; None when it is not known.
        error: Why it did not succeed, or an empty text.
        requested_at: When it was asked for.
        started_at: When its container started; None while it has not.
        finished_at: When it had ended; None while it has not.
        previous: The execution that it restarts; empty for none.
        restarts: How many executions of its row went before it.
        generation: Counts the changes of code or config within that row, from 1 on.
        not_before: When it may start, of one that restarts another; else None.
        in_a_row: How many of the restarts came without a stable time between.
        last_error: Why the one before it did not succeed; empty where it did, or there is none.
        directory: Its folder.
    """

    execution_id: str
    id: str
    entrypoint: str
    runtime: str
    engine: str
    container_id: str
    state: ExecutionState
    outcome: Outcome | None
    exit_code: int | None
    error: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    previous: str = ""
    restarts: int = 0
    generation: int = 1
    not_before: datetime | None = None
    in_a_row: int = 0
    last_error: str = ""
    directory: Path

    @property
    def is_crash_loop(self) -> bool:
        """Whether it is the next of a bot that fails again and again; see `supervisor.stable`."""
        return self.outcome is None and self.in_a_row >= CRASH_LOOP and bool(self.last_error)

    @property
    def waits_for(self) -> str:
        """Why its engine has not started it yet, in the engine's words; empty where nothing is known to hinder it."""
        if self.state not in {ExecutionState.STARTING, ExecutionState.RUNNING}:
            return ""
        *_, last = ({}, *read_events(self.directory))
        return str(last.get("why", "")) if last.get("event") == WAITING else ""

    @property
    def is_over(self) -> bool:
        """Whether its bot has ended, and something of it could not be removed or written yet; asks anew."""
        return is_owed(self.directory)

    def left_behind(self) -> list[str]:
        """Return what could not be removed of one that is over, in words."""
        return left_behind(self.directory)

    @property
    def logs(self) -> Path:
        """The folder of its log."""
        return self.directory / "logs"

    def to_json(self) -> dict[str, Any]:
        """Return the document that `botdock ps --json` prints of it."""
        document = attrs.asdict(self, filter=lambda field, _: field.name != "directory")
        times = {name: value.isoformat() for name, value in document.items() if isinstance(value, datetime)}
        return {"schema": 1, **document, **times, "crash_loop": self.is_crash_loop, "waits_for": self.waits_for}
