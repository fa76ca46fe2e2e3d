"""The attempts of botdock to end an execution, and which of them did."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeAlias

import attrs

from botdock._log import hidden
from botdock.errors import BotdockError, ContainerNotFoundError, EngineTimeoutError, EngineUnavailableError
from botdock.model import ContainerStatus, Outcome, Phase
from botdock.orchestrator.deadlines import Timeout

ENDING, NOT_ENDED = "ending", "not_ended"
"""The events, in the order in which they are written: before the engine is told, and when it could not end it."""
SIGNAL_BASE = 128
"""Shells and Docker report a program ended by signal n as exit code 128 + n (POSIX, Shell Command Language 2.8.2)."""

_NS = 1_000_000_000
_Start: TypeAlias = tuple[int, int] | None
"""Between which two moments an engine started a container, in nanoseconds of our clock; None where it is not known."""
_OURS = frozenset({signal.SIGTERM, signal.SIGKILL})
_TOO_LATE = "it had ended before"
_RUNS_ON = "the engine did not answer, and the bot runs on"
_IN_A_MOMENT = 5.0
"""Seconds in which an engine answers a stop of what has ended; one that does not is taken to have stopped it."""


@attrs.frozen
class Ending:
    """Why an execution ended.

    Attributes:
        why: Why botdock ended it; None when it ended by itself.
        failure: What broke on our side, or an empty text.
        timeout: Which of its deadlines had passed, of one that took too long; else None.
    """

    why: Outcome | None
    failure: str = ""
    timeout: Timeout | None = None


@attrs.define(eq=False)
class _Attempt:
    why: Outcome
    failure: str
    timeout: Timeout | None = None
    failed: bool = False
    under_way: bool = False
    unanswered_until: float | None = None
    """When the grace is over, on the monotonic clock, of one that the engine was told of and did not answer."""
    written_ns: int | None = None
    """When it was written down, on the wall clock, of one whose runner died and may not have told the engine."""

    def came_too_late_for(self, status: ContainerStatus | None, start: _Start) -> bool:
        """Tell whether it was made by a runner that died, of an execution that had ended by itself before."""
        if self.written_ns is None or status is None or status.finished_at is None or _died_of_ours(status):
            return False
        return _ns(status.finished_at) - _offset_ns(status, start) < self.written_ns


@attrs.define(eq=False)
class Attempts:
    """The attempts to end one execution; safe to use from several threads.

    The first one that did not fail is the reason why it ended. One that the engine did not answer may have reached it:
    it has failed once the bot is seen to run after its grace. One that failed is the reason too if the bot died of the
    very signal that was to be sent.

    Args:
        event: Writes a step down.
    """

    _event: Callable[..., None]
    _lock: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _attempts: list[_Attempt] = attrs.field(factory=list, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _start: _Start = attrs.field(default=None, init=False)

    def restore(self, events: Sequence[dict[str, Any]], *, member: bool = False) -> None:
        """Learn from what was written down which attempts a runner made that died.

        Args:
            events: The steps.
            member: Whether its container had waited in a pool, and so was started long before it was told to begin.
        """
        self._start = None if member else _start_of(events)
        for entry in events:
            with suppress(KeyError, ValueError, TypeError):
                if entry["event"] == ENDING:
                    timeout = Timeout(found) if (found := entry.get("timeout")) else None
                    made = _Attempt(Outcome(entry["why"]), str(entry["failure"]), timeout)
                    made.written_ns = when if isinstance(when := entry.get("time_ns"), int) else None
                    self._attempts.append(made)
                elif entry["event"] == NOT_ENDED:
                    _note_failed(self._attempts, Outcome(entry["why"]))

    def attempt(
        self,
        why: Outcome,
        stop: Callable[[], object],
        *,
        is_over: Callable[[], bool],
        grace: float,
        failure: str = "",
        timeout: Timeout | None = None,
    ) -> None:
        """End it, unless it has ended.

        Args:
            why: The reason.
            stop: Tells the engine, and returns when it has ended.
            is_over: Asks the engine whether it had ended before.
            grace: Seconds that the bot has to end by itself, once the engine is told.
            failure: What broke on our side, if that is the reason.
            timeout: Which deadline has passed, if that is the reason.

        Raises:
            BotdockError: As `stop` and `is_over`.
        """
        attempt = _Attempt(why, failure, timeout, under_way=True)
        with self._lock:
            if self._over:
                return
            self._attempts.append(attempt)
        told = False
        try:
            which = {"timeout": timeout.value} if timeout else {}
            self._event(ENDING, why=why.value, failure=hidden(failure), **which)
            with suppress(ContainerNotFoundError):  # it ended, and was removed, while we waited for its end
                if is_over():  # an engine that was away has only now told of it
                    self._fail(attempt, _TOO_LATE)
                else:
                    told = True
                    stop()
        except BaseException as error:
            if told and isinstance(error, EngineUnavailableError | EngineTimeoutError):
                attempt.unanswered_until = time.monotonic() + grace
            else:
                self._fail(attempt, error.message if isinstance(error, BotdockError) else repr(error))
            raise
        finally:
            with self._lock:
                attempt.under_way = False
                self._lock.notify_all()

    def _fail(self, attempt: _Attempt, said: str) -> None:
        attempt.failed = True
        self._event(NOT_ENDED, why=attempt.why.value, error=hidden(said))

    def runs_on(self) -> bool:
        """Note that it runs now; return whether the engine did not answer an attempt whose grace is not over yet."""
        now = time.monotonic()
        with self._lock:
            unanswered = [(one, one.unanswered_until) for one in self._attempts if one.unanswered_until is not None]
        for attempt, until in unanswered:
            if until < now:
                attempt.unanswered_until = None
                self._fail(attempt, _RUNS_ON)
        return any(until >= now for _, until in unanswered)

    def close(self) -> None:
        """Note that it has ended: an attempt from now on comes too late."""
        with self._lock:
            self._over = True

    def take_up(self) -> Ending | None:
        """Return why it was being ended when its runner died, or None; it has to be tried again, for it still runs."""
        with self._lock:
            told = [attempt for attempt in self._attempts if not attempt.failed]
            for attempt in told:
                attempt.failed = True
        return Ending(told[0].why, timeout=told[0].timeout) if told else None

    def reason(self, status: ContainerStatus | None) -> Ending:
        """Note that it has ended; return why.

        An attempt that is under way is waited for: whether it ended the bot, or came too late, it knows in a moment.
        """
        with self._lock:
            self._over = True
            self._lock.wait_for(lambda: not any(one.under_way for one in self._attempts), _IN_A_MOMENT)
            attempts = list(self._attempts)
        start = self._start
        told = [one for one in attempts if not one.failed and not one.came_too_late_for(status, start)]
        if attempts and not told and status is not None and _died_of_ours(status):
            told = attempts
        failure = next((attempt.failure for attempt in attempts if attempt.failure), "")
        return Ending(told[0].why, failure, told[0].timeout) if told else Ending(None, failure)


def _start_of(events: Iterable[dict[str, Any]]) -> _Start:
    steps = [entry for entry in events if entry.get("event") == "phase"]
    starts = [(one, after) for one, after in pairwise(steps) if one.get("phase") == Phase.START]
    begun, done = (entry.get("time_ns") for entry in starts[-1]) if starts else (None, None)
    return (begun, done) if isinstance(begun, int) and isinstance(done, int) else None


def _offset_ns(status: ContainerStatus, start: _Start) -> float:
    """Return by how much the engine's clock is ahead of ours, at the least: a daemon may be on another machine."""
    if start is None or status.started_at is None:
        return 0.0
    told = _ns(status.started_at)
    return told - min(max(told, start[0]), start[1])


def _ns(moment: datetime) -> float:
    return moment.timestamp() * _NS


def _note_failed(attempts: list[_Attempt], why: Outcome) -> None:
    for attempt in attempts:
        if attempt.why is why and not attempt.failed:
            attempt.failed = True
            return


def _died_of_ours(status: ContainerStatus) -> bool:
    number = status.signal or (status.exit_code or 0) - SIGNAL_BASE
    return number in _OURS and not status.oom_killed
