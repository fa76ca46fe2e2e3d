"""Whether an execution that has ended has a successor, and when that may start: a decision from facts alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from botdock.config import SupervisorConfig
from botdock.executions._requests import Restart
from botdock.model import Outcome, RestartOn, RestartPolicy

_NOT_OF_THE_BOT = frozenset({Outcome.SUCCEEDED, Outcome.INFRASTRUCTURE_ERROR, Outcome.LOST})
"""Ends that do not count against `on-failure:<most>`: a daemon that is away for an hour is not the bot's fault."""
_MOST_DOUBLINGS = 64
_LONGEST_ERROR = 300


@attrs.frozen(kw_only=True)
class End:
    """What is known of an execution that has ended.

    Attributes:
        execution_id: The execution.
        outcome: How it ended.
        error: Why it did not succeed; empty where it did.
        ran_for: Seconds from the start to the end of its container; 0 where there was none.
        policy: The restart policy in force, which its result has among its bounds.
        stop_asked: Whether it was asked to stop, even if it ended otherwise.
        refused: Whether nothing was started, since what was asked for cannot be, or is not allowed.
    """

    execution_id: str
    outcome: Outcome
    error: str = ""
    ran_for: float = 0.0
    policy: RestartPolicy = attrs.field(factory=RestartPolicy)
    stop_asked: bool = False
    refused: bool = False


def successor_of(
    end: End, restart: Restart, settings: SupervisorConfig, *, now: datetime, chance: float
) -> Restart | str:
    """Return the place of the next execution in the row, or why there is none, in words.

    The pause doubles with each restart in a row, up to `max_backoff`, and of that between a half and all is waited, so
    that what failed together does not come back together. A run of `stable` seconds begins anew.

    Args:
        end: The execution that has ended.
        restart: Its own place in the row; see `Restart.of_code`.
        settings: How long the pauses are.
        now: The time.
        chance: From 0 to 1, drawn for this.
    """
    if reason := _no_more(end):
        return reason
    row = restart.well() if end.ran_for >= settings.stable else restart
    of_the_bot = end.outcome not in _NOT_OF_THE_BOT
    if of_the_bot and end.policy.most is not None and row.failures >= end.policy.most:
        return f"it has been restarted {row.failures} times in a row, which '{end.policy}' allows at most"
    pause = min(settings.max_backoff, settings.backoff * 2 ** min(row.in_a_row, _MOST_DOUBLINGS))
    return attrs.evolve(
        row,
        policy=str(end.policy),
        previous=end.execution_id,
        restarts=row.restarts + 1,
        in_a_row=row.in_a_row + 1,
        failures=row.failures + of_the_bot,
        not_before=now + timedelta(seconds=pause * (1 - chance / 2)),
        last_error=_error_of(end),
    )


def _no_more(end: End) -> str:
    if end.outcome is Outcome.STOPPED or end.stop_asked:
        return "it was stopped"
    if end.policy.on is RestartOn.NO:
        return "its restart policy is 'no'"
    if end.policy.on is RestartOn.FAILURE and end.outcome is Outcome.SUCCEEDED:
        return "it succeeded"
    if end.refused:
        return "it was refused, and would be again"
    return ""


def _error_of(end: End) -> str:
    if end.outcome is Outcome.SUCCEEDED:
        return ""
    return f"{end.outcome.value}: {end.error}"[:_LONGEST_ERROR] if end.error else end.outcome.value
