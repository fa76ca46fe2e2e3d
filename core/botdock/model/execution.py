"""An execution: its id, its phases, its outcome and its result."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import attrs

from botdock.errors import BotdockError, UserError
from botdock.model.logs import LogSummary

if TYPE_CHECKING:
    from botdock.model.executable import Executable

SCHEMA = 1
"""Version of the JSON documents."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case, as ULIDs use it; Kubernetes names allow no upper case."""
_TIME_CHARACTERS = 10
_RANDOM_CHARACTERS = 16
_RANDOM_BITS = 5 * _RANDOM_CHARACTERS

EXECUTION_ID = re.compile(f"[{_ALPHABET}]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS}}}")

REFUSED = "refused"
"""Of the evidence: what was asked for cannot be, or is not allowed, so there is no point in trying it again."""

CONTAINER_PREFIX = "botdock-"
"""With the execution's id behind it, the name of its container."""

_lock = threading.Lock()
_last = 0


def new_execution_id() -> str:
    """Return a new id: 48 bits of milliseconds and 80 random ones, as a ULID (https://github.com/ulid/spec).

    Ids made by one process are strictly increasing, within a millisecond too.
    """
    global _last  # noqa: PLW0603 - the order holds for the whole process
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
    with _lock:
        _last = max(fresh, _last + 1)
        number = _last
    return _encode(number)


def time_of(execution_id: str) -> datetime:
    """Return when an id was made, to the millisecond."""
    number = 0
    for character in execution_id[:_TIME_CHARACTERS]:
        number = number << 5 | _ALPHABET.index(character)
    return datetime.fromtimestamp(number / 1000, UTC)


def first_id_at(moment: datetime) -> str:
    """Return the lowest id that can be made at a time: those that sort below it are older."""
    return _encode(max(round(moment.timestamp() * 1000), 0) << _RANDOM_BITS)


def _encode(number: int) -> str:
    length = _TIME_CHARACTERS + _RANDOM_CHARACTERS
    return "".join(_ALPHABET[number >> 5 * (length - 1 - place) & 31] for place in range(length))


class Status(StrEnum):
    """The three words that callers of the old runner know."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


class Outcome(StrEnum):
    """How an execution ended: always exactly one of these, with its evidence in the result."""

    SUCCEEDED = "succeeded"
    """The bot ended by itself with exit code 0, and what it returned is not an error."""
    FAILED = "failed"
    """The bot ended by itself: it raised, exited non-zero, or returned an error."""
    SIGNALED = "signaled"
    """A signal ended the bot that botdock did not send."""
    TIMED_OUT = "timed_out"
    """It ran longer than its wall time."""
    STOPPED = "stopped"
    """A stop was asked for: by a caller, a signal or a command."""
    OOM_KILLED = "oom_killed"
    """The kernel killed the bot for exceeding its memory."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote more to stdout and stderr than it may."""
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    """Botdock, its engine or its machine failed; the bot is not to blame."""
    LOST = "lost"
    """How it ended is not known, and cannot be found out."""

    @property
    def status(self) -> Status:
        """The old runner's word for it."""
        return Status.SUCCESS if self is Outcome.SUCCEEDED else Status.ERROR


class Phase(StrEnum):
    """The steps of an execution, in their order; each is timed, and an error names the one it broke."""

    VALIDATE = "validate"
    FETCH = "fetch"
    EXTRACT = "extract"
    GENERATE = "generate"
    PULL = "pull"
    CREATE = "create"
    ATTACH = "attach"
    START = "start"
    WAIT = "wait"
    """From the start until the exit is known: the bot's own time."""
    STREAM = "stream"
    """From the exit until the last byte of the log is stored."""
    COLLECT = "collect"
    STORE = "store"
    CLEAN_UP = "clean_up"


@attrs.frozen(kw_only=True)
class Progress:
    """One report; at most a few a second come.

    Attributes:
        phase: The step.
        what: What is being moved, such as the name of an image or of an archive.
        current: Bytes so far.
        total: Bytes in all; 0 for not known.
        note: More about it in a few words, such as how many layers of an image are there; empty for nothing.
    """

    phase: Phase
    what: str
    current: int = 0
    total: int = 0
    note: str = ""


@attrs.frozen(kw_only=True)
class MapProgress:
    """How far `Runner.map` is.

    Attributes:
        total: How many there are in all; None where that is not known beforehand.
        running: How many are being started or run.
        done: How many have ended, in whatever way.
        succeeded: How many of those succeeded.
    """

    total: int | None
    running: int
    done: int
    succeeded: int


@attrs.frozen(kw_only=True)
class ExecutionResult:
    """How one run went; an expected failure of the bot is a result, not an exception.

    Attributes:
        execution_id: The run; sorts by time.
        id: The executable.
        runtime: Canonical name of the runtime.
        engine: Name of the engine.
        entrypoint: `bot` or `backtest`.
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

    @classmethod
    def unstarted(cls, executable: Executable, error: BotdockError, *, engine: str = "") -> Self:
        """Return the result of what could not be started; its evidence has `phase` and `hint`, and may be `refused`."""
        refused = {REFUSED: True} if isinstance(error, UserError) else {}
        return cls(
            execution_id=error.execution_id or "",
            id=executable.id,
            runtime=executable.runtime or "",
            engine=engine,
            entrypoint=executable.entrypoint,
            outcome=Outcome.INFRASTRUCTURE_ERROR,
            message=error.message,
            error=error.message,
            finished_at=datetime.now(UTC),
            evidence={"phase": error.phase, "hint": error.hint, **refused},
            is_long_running=executable.is_long_running,
        )

    @cached_property
    def value(self) -> Any:
        """What `main` returned, read from `result_file_contents` when it is asked for; None when there is none."""
        if self._value is not ...:
            return self._value
        return json.loads(self.result_file_contents) if self.result_file_contents else None

    @property
    def status(self) -> Status:
        """The old runner's word for it: `running`, `success` or `error`."""
        return self.outcome.status if self.outcome else Status.RUNNING

    @property
    def succeeded(self) -> bool:
        """Whether the outcome is `succeeded`."""
        return self.outcome is Outcome.SUCCEEDED

    def to_json(self) -> dict[str, Any]:
        """Return the document that `botdock run --json` prints."""
        return self.record(value=self.value)

    def record(self, **value: Any) -> dict[str, Any]:
        """Return what `outcome.json` holds: everything but the value, which `result.json` does, unless it is given."""
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
