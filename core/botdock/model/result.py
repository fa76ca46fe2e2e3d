"""What an execution leaves behind."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import Any

import attrs

from botdock.model.logs import LogSummary
from botdock.model.outcome import Outcome, Status

SCHEMA = 1
"""Version of the JSON documents."""


@attrs.frozen(kw_only=True)
class ExecutionResult:
    """How one run went; an expected failure of the bot is a result, not an exception.

    Attributes:
        execution_id: The run; sorts by time.
        id: The executable.
        runtime: Canonical name of the runtime.
        engine: Name of the engine.
        entrypoint: `bot` or `backtest`.
        status: The old runner's word: `running`, `success` or `error`.
        outcome: How it ended; None while it runs.
        exit_code: The bot's own; None when it is not known, never a made-up 0.
        message: One line for people.
        error: Why it failed, or an empty text.
        output: The end of what it wrote, both streams as they came, as text; see `LoggingConfig.output_tail`.
        started_at: When its container started; None when it did not.
        finished_at: When it had ended; None while it runs.
        duration: Seconds from start to end of the container.
        evidence: What the outcome rests on: exit code, flags of the engine, what was dropped and why; as `bounds` each
            bound of the run with its value and who set it.
        phases: Seconds of each phase that was entered.
        log: Counts and hash of the whole log.
        container_id: The engine's identity of the container, which is gone once the run has ended.
        image: Reference of the image.
        image_digest: Its content address, where the engine has one.
        is_long_running: As it was asked for.
        result_file_contents: What `main` returned, as the JSON text that came; empty when there is none. See `value`.
        metadata: What else callers of the old runner look for: `segment`, `script`.
    """

    execution_id: str
    id: str
    runtime: str = ""
    engine: str = ""
    entrypoint: str = "bot"
    status: Status = Status.RUNNING
    outcome: Outcome | None = None
    exit_code: int | None = None
    message: str = ""
    error: str = ""
    output: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: float = 0.0
    evidence: dict[str, Any] = attrs.field(factory=dict)
    phases: dict[str, float] = attrs.field(factory=dict)
    log: LogSummary = attrs.field(factory=LogSummary)
    container_id: str = ""
    image: str = ""
    image_digest: str = ""
    is_long_running: bool = False
    _value: Any = attrs.field(default=..., repr=False)
    result_file_contents: bytes = b""
    metadata: dict[str, Any] = attrs.field(factory=dict)

    @cached_property
    def value(self) -> Any:
        """What `main` returned, read from `result_file_contents` when it is asked for; None when there is none."""
        if self._value is not ...:
            return self._value
        return json.loads(self.result_file_contents) if self.result_file_contents else None

    @property
    def succeeded(self) -> bool:
        """Whether the outcome is `succeeded`."""
        return self.outcome is Outcome.SUCCEEDED

    def to_json(self) -> dict[str, Any]:
        """Return the document that `botdock run --json` prints."""
        return self._document(value=self.value)

    def record(self) -> dict[str, Any]:
        """Return what `outcome.json` holds: everything but the value, which `result.json` does."""
        return self._document()

    def _document(self, **value: Any) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "execution_id": self.execution_id,
            "id": self.id,
            "runtime": self.runtime,
            "engine": self.engine,
            "entrypoint": self.entrypoint,
            "outcome": self.outcome and self.outcome.value,
            "exit_code": self.exit_code,
            **value,
            "error": self.error,
            "evidence": self.evidence,
            "started_at": self.started_at and self.started_at.isoformat(),
            "finished_at": self.finished_at and self.finished_at.isoformat(),
            "duration_seconds": round(self.duration, 6),
            "phases": {name: round(seconds, 6) for name, seconds in self.phases.items()},
            "container_id": self.container_id,
            "image": self.image,
            "image_digest": self.image_digest,
            "log": attrs.asdict(self.log),
        }
