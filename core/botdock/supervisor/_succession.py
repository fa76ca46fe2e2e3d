"""What follows an execution that has ended: a decision from facts alone, and another one, made exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from botdock._log import logger
from botdock.config import SupervisorConfig
from botdock.executions._files import EXECUTIONS, REQUESTS, RUN, forget_request, read_end, remove_folder
from botdock.executions._queue import change_request, submit
from botdock.executions._requests import Request, Restart, read_request
from botdock.executions._stops import request_stop
from botdock.model import Outcome, RestartOn, RestartPolicy, new_execution_id

Follow = Callable[[Request, Mapping[str, Any]], Restart | None]
"""Decides about the successor of an execution that has ended.

It is given the request, without code that came as bytes, and `outcome.json`; it returns the successor's place in the
row, or None for no successor. It may be asked again about the same end, should the supervisor die over it.
"""
_UNBOUNDED = 2**62
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


def settle(home: Path, execution_id: str, end: Mapping[str, Any] | None, follow: Follow) -> None:
    """Make the successor of an execution that has ended, if there is to be one; forget its request.

    Its id is written down before it is made, so there is one, however often a supervisor dies over this.

    Args:
        home: The state folder.
        execution_id: The one that has ended.
        end: Its `outcome.json`; None when it was removed, or cannot be read, and then nothing follows.
        follow: Decides.

    Raises:
        BotdockError: The disk took no more; the request is still there.
        OSError: The same.
    """
    try:
        request = read_request(home, execution_id, code=False)
    except ValueError as error:
        logger.bind(error=str(error)).warning("nothing can follow it")
        request = None
    restart = follow(request, end) if request is not None and end is not None else None
    if restart is not None:
        request = change_request(home, execution_id, _with_successor)
    if request is not None and request.successor:  # of this try, or of one that came to nothing
        _make(home, request, restart)
        _stop_if_asked(home, request)
    forget_request(home, execution_id)


def _stop_if_asked(home: Path, request: Request) -> None:
    """Pass a stop on that came while the successor was being made, should its sender have waited for that in vain."""
    now, directory = read_request(home, request.execution_id, code=False), home / EXECUTIONS / request.successor
    if now is not None and now.stopped and directory.is_dir():
        request_stop(directory, None)


def _with_successor(request: Request) -> Request:
    decided = request.stopped or request.successor
    return request if decided else attrs.evolve(request, successor=new_execution_id())


def _make(home: Path, request: Request, restart: Restart | None) -> None:
    directory = home / EXECUTIONS / request.successor
    asked_for = (home / REQUESTS / f"{request.successor}.json").exists()
    if asked_for or (directory / RUN).exists() or read_end(directory):
        return  # the one that died had made it
    if directory.exists():
        remove_folder(directory)
    if request.stopped or restart is None:  # meanwhile
        return
    whole = read_request(home, request.execution_id)
    assert whole is not None  # noqa: S101 - only this process removes it
    successor = attrs.evolve(whole, execution_id=request.successor, restart=restart, successor="")
    submit(home, successor, most=_UNBOUNDED)
