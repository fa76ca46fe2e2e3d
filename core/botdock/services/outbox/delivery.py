"""Which message goes next, and what becomes of it: in order within an execution, patiently, never in a busy loop."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from botdock._log import hidden, logger
from botdock.errors import BotdockError, StorageKeyError, StorageUnavailableError
from botdock.model import ByteReader
from botdock.services.outbox.queue import Message, MessageQueue

Put = Callable[[Message, ByteReader], None]
"""Hands the bytes of a message to the storage."""

FIRST_PAUSE = 0.5
"""Seconds after the first failure; each further pause is up to twice as long."""
REFUSED_PAUSE = 60.0
"""Seconds until what the storage refused is tried again; what it refused says that waiting will hardly help."""
LONGEST_REFUSED_PAUSE = 3600.0
PATIENCE = 5
"""Refusals after which a message holds up nothing any more, and may be given up."""


class Delivery:
    """Takes what waits to the storage, one message after the other; used by one thread at a time.

    A storage that does not answer is left alone for a while, longer each time. What it refuses is tried again rarely:
    a wrong key of ours may be mended. A message that it refused `PATIENCE` times is given up when that is the message's
    own fault: its key is refused, or the storage has taken others of its area since the last refusal.

    Args:
        queue: Where they wait.
        put: Hands one over.
        longest_pause: Seconds between two attempts to reach a storage that is away.
        ending: Whether to stop between two messages.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        queue: MessageQueue,
        put: Put,
        *,
        longest_pause: float,
        ending: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._put = put
        self._longest_pause = longest_pause
        self._ending = ending
        self._clock = clock
        self._away_until = 0.0
        self._failures = 0
        self._failures_of: Counter[str] = Counter()
        self._refused_until: dict[int, float] = {}
        self._taken: Counter[str] = Counter()
        self._taken_before: dict[int, int] = {}

    def run(self) -> float | None:
        """Deliver what is due; return the seconds until more will be, or None when nothing waits."""
        waiting = self._queue.waiting()
        numbers = {message.number for message in waiting}
        for known in (self._refused_until, self._taken_before):
            for number in known.keys() - numbers:
                del known[number]
        if not waiting:
            self._failures_of.clear()
            return None
        if self._clock() >= self._away_until:
            self._deliver_all(waiting)
        if self._failures:
            return max(self._away_until - self._clock(), 0.0)
        return max(min(self._refused_until.values()) - self._clock(), 0.0) if self._refused_until else None

    def _deliver_all(self, waiting: list[Message]) -> None:
        """Deliver each execution's messages in order; last those that failed most, so that no other waits for them."""
        by_execution: dict[str, list[Message]] = {}
        for message in waiting:
            by_execution.setdefault(message.execution_id, []).append(message)
        for execution_id in sorted(by_execution, key=lambda name: self._failures_of[name]):
            for message in by_execution[execution_id]:
                if self._ending():
                    return
                try:
                    goes_on = self._deliver(message)
                except StorageUnavailableError as error:
                    self._note_away(message, error)
                    return
                if not goes_on:
                    break

    def _deliver(self, message: Message) -> bool:
        """Deliver a message if it is due; return whether those of its execution behind it may go as well."""
        if self._clock() < self._refused_until.get(message.number, 0.0):
            return message.refusals >= PATIENCE
        try:
            source = self._queue.open(message)
            if source is None:  # a newer one of its key, or the bound, has removed it
                return True
            with source:
                self._put(message, source)
            self._queue.remove(message)
        except StorageUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - a third party's storage may raise anything, and must not end the delivery
            return False if self._ending() else self._note_refusal(message, error)
        self._note_answer(message)
        self._taken[message.area] += 1
        return True

    def _note_answer(self, message: Message) -> None:
        self._failures = 0
        self._failures_of.pop(message.execution_id, None)
        self._refused_until.pop(message.number, None)

    def _note_away(self, message: Message, error: StorageUnavailableError) -> None:
        self._failures += 1
        self._failures_of[message.execution_id] += 1
        self._away_until = self._clock() + _jittered(FIRST_PAUSE, self._failures, self._longest_pause)
        with suppress(OSError):  # the log says it, too
            self._queue.note_error(hidden(error.message))
        if self._failures == 1:
            logger.bind(execution_id=message.execution_id, key=message.key, error=error.message).warning(
                "the storage is away; what is to go waits"
            )

    def _note_refusal(self, message: Message, error: Exception) -> bool:
        """Note it, or give the message up; return whether those behind it may go."""
        self._note_answer(message)
        text = error.message if isinstance(error, BotdockError) else repr(error)
        with suppress(OSError):  # a disk that takes no note of it
            message = self._queue.refuse(message, text)
        taken = self._taken[message.area]
        own_fault = isinstance(error, StorageKeyError) or taken > self._taken_before.get(message.number, 0)
        self._taken_before[message.number] = taken
        logger.bind(execution_id=message.execution_id, key=message.key, error=text, refusals=message.refusals).warning(
            "the storage refused an object"
        )
        if message.refusals >= PATIENCE and own_fault:
            self._queue.fail(message)
        else:
            pause = _jittered(REFUSED_PAUSE, message.refusals, LONGEST_REFUSED_PAUSE)
            self._refused_until[message.number] = self._clock() + pause
        return message.refusals >= PATIENCE


def _jittered(first: float, failures: int, longest: float) -> float:
    """Return a pause that grows with the failures; at random, so that many processes do not come back at once."""
    bound = min(first * 2.0 ** min(failures - 1, 32), longest)
    return random.uniform(bound / 2, bound)  # noqa: S311 - a pause is not a secret
