"""Why an execution is being ended, when it is botdock that ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import attrs

from botdock._log import hidden
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.model import ContainerStatus, Outcome

ENDING, NOT_ENDED = "ending", "not_ended"
"""The events, in the order in which they are written: before the engine is told, and when it could not do it."""

_OURS = frozenset({signal.SIGTERM, signal.SIGKILL})
_TOO_LATE = "it had ended before"
_IN_A_MOMENT = 5.0
"""Seconds in which an engine answers a stop of what has ended; one that does not is taken to have stopped it."""
_SIGNALED = 128
"""What shells and engines add to the number of a signal to make an exit code of it."""


@attrs.define(eq=False)
class _Attempt:
    why: Outcome
    failure: str
    failed: bool = False
    under_way: bool = False


class Ending:
    """The attempts to end one execution; safe to use from several threads.

    The first one that did not fail is the reason why it ended. One that failed is it too if the bot died of the very
    signal that was to be sent: an engine may have gone away after it had sent it.

    Args:
        event: Writes a step down.
    """

    def __init__(self, event: Callable[..., None]) -> None:
        self._event = event
        self._lock = threading.Condition()
        self._attempts: list[_Attempt] = []
        self._over = False

    def restore(self, events: Iterable[dict[str, Any]]) -> None:
        """Learn from what was written down which attempts a runner made that died."""
        for entry in events:
            with suppress(KeyError, ValueError, TypeError):
                if entry["event"] == ENDING:
                    self._attempts.append(_Attempt(Outcome(entry["why"]), str(entry["failure"])))
                elif entry["event"] == NOT_ENDED:
                    _settle(self._attempts, Outcome(entry["why"]))

    def attempt(self, why: Outcome, stop: Callable[[], bool], *, failure: str = "") -> None:
        """End it, unless it has ended.

        Args:
            why: The reason.
            stop: Tells the engine, and returns when it has ended; False when it had ended before.
            failure: What broke on our side, if that is the reason.

        Raises:
            BotdockError: As `stop`; then it is as if nobody had tried.
        """
        attempt = _Attempt(why, failure, under_way=True)
        with self._lock:
            if self._over:
                return
            self._attempts.append(attempt)
        try:
            self._event(ENDING, why=why.value, failure=hidden(failure))
            with suppress(ContainerNotFoundError):  # it ended, and was removed, while we waited for its end
                if not stop():
                    self._fail(attempt, _TOO_LATE)
        except BaseException as error:
            self._fail(attempt, error.message if isinstance(error, BotdockError) else repr(error))
            raise
        finally:
            with self._lock:
                attempt.under_way = False
                self._lock.notify_all()

    def _fail(self, attempt: _Attempt, said: str) -> None:
        attempt.failed = True
        self._event(NOT_ENDED, why=attempt.why.value, error=hidden(said))

    def close(self) -> None:
        """Say that it has ended: whoever wants to end it from now on comes too late."""
        with self._lock:
            self._over = True

    def take_up(self) -> Outcome | None:
        """Return why it was being ended when its runner died, or None; it has to be tried again, for it still runs."""
        with self._lock:
            told = [attempt for attempt in self._attempts if not attempt.failed]
            for attempt in told:
                attempt.failed = True
        return told[0].why if told else None

    def reason(self, status: ContainerStatus | None) -> tuple[Outcome | None, str]:
        """Return why it was ended, or None when it ended by itself; and what broke, if that is the reason.

        An attempt that is under way is waited for: whether it ended the bot, or came too late, it knows in a moment.
        """
        with self._lock:
            self._lock.wait_for(lambda: not any(one.under_way for one in self._attempts), _IN_A_MOMENT)
            attempts = list(self._attempts)
        told = [attempt for attempt in attempts if not attempt.failed]
        if not told and status is not None and _died_of_ours(status):
            told = attempts
        failure = next((attempt.failure for attempt in attempts if attempt.failure), "")
        return (told[0].why, failure) if told else (None, failure)


def _settle(attempts: list[_Attempt], why: Outcome) -> None:
    for attempt in attempts:
        if attempt.why is why and not attempt.failed:
            attempt.failed = True
            return


def _died_of_ours(status: ContainerStatus) -> bool:
    number = status.signal or (status.exit_code or 0) - _SIGNALED
    return number in _OURS and not status.oom_killed
