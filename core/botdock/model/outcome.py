"""How an execution ends, and what it goes through on the way."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The three words that callers of the old runner know."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


class Outcome(StrEnum):
    """How an execution ended: always exactly one of these, with its evidence in the result."""

    SUCCEEDED = "succeeded"
    """The bot ended by itself with exit code 0, and what it returned is no error."""
    FAILED = "failed"
    """The bot ended by itself: it raised, exited non-zero, or returned an error."""
    SIGNALED = "signaled"
    """A signal ended the bot that botdock did not send."""
    TIMED_OUT = "timed_out"
    """It ran longer than its wall time."""
    STOPPED = "stopped"
    """Somebody asked for it to stop."""
    OOM_KILLED = "oom_killed"
    """The kernel killed the bot for exceeding its memory."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote more to stdout and stderr than it may."""
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    """Botdock, its engine or its machine failed; the bot is not to blame."""
    LOST = "lost"
    """Nobody can say any more how it ended."""

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
