"""Which item goes next, and what becomes of it: in order within an execution, patiently, and never in a busy loop."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto

from botdock._log import hidden, logger
from botdock.errors import BotdockError, StorageKeyError, StorageUnavailableError
from botdock.model import ByteReader, StorageArea
from botdock.services.outbox.item import Item
from botdock.services.outbox.spool import Spool

Put = Callable[[Item, ByteReader], None]
"""Hands the bytes of an item to the storage."""

FIRST_PAUSE = 0.5
"""Seconds after the first failure; each further pause is up to twice as long."""
REFUSED_PAUSE = 60.0
"""Seconds until what the storage refused is tried again; what it refused says that waiting will hardly help."""
LONGEST_REFUSED_PAUSE = 3600.0
PATIENCE = 5
"""Refusals after which an item holds up nothing any more, and may be given up."""


class Verdict(Enum):
    """What became of an item."""

    DELIVERED = auto()
    PASSED = auto()
    HOLDS_UP = auto()
    AWAY = auto()


class Delivery:
    """Takes what waits to the storage, one item after the other; used by one thread at a time.

    A storage that does not answer is left alone for a while, longer each time. What it refuses is tried again rarely:
    a wrong key of ours may be mended. An item that it refused `PATIENCE` times is given up when that is the item's own
    fault: its key is none, or the storage has taken others of its area since the last refusal.

    Args:
        spool: Where they wait.
        put: Hands one over.
        longest_pause: Seconds between two attempts to reach a storage that is away.
        ending: Whether to stop between two items.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        spool: Spool,
        put: Put,
        *,
        longest_pause: float,
        ending: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._put = put
        self._longest_pause = longest_pause
        self._ending = ending
        self._clock = clock
        self._away_until = 0.0
        self._failures = 0
        self._failures_of: dict[str, int] = {}
        self._refused_until: dict[int, float] = {}
        self._taken = dict.fromkeys(StorageArea, 0)
        self._taken_before: dict[int, int] = {}

    def run(self) -> float | None:
        """Deliver what is due; return the seconds until more will be, or None when nothing waits."""
        waiting = self._spool.waiting()
        self._forget_all_but({item.number for item in waiting}, {item.parcel.execution_id for item in waiting})
        if waiting and self._clock() >= self._away_until:
            self._deliver_all(waiting)
        return self._next_due() if waiting else None

    def _deliver_all(self, waiting: list[Item]) -> None:
        for line in self._lines(waiting):
            for item in line:
                if self._ending():
                    return
                verdict = self._deliver(item)
                if verdict is Verdict.AWAY:
                    return
                if verdict is Verdict.HOLDS_UP:
                    break

    def _lines(self, waiting: list[Item]) -> Iterator[list[Item]]:
        """Yield each execution's items in order; last those that failed most, so that they keep nobody waiting."""

        def execution(item: Item) -> str:
            return item.parcel.execution_id

        lines = [list(line) for _, line in itertools.groupby(sorted(waiting, key=execution), key=execution)]
        yield from sorted(lines, key=lambda line: (self._failures_of.get(execution(line[0]), 0), line[0].number))

    def _deliver(self, item: Item) -> Verdict:
        if self._clock() < self._refused_until.get(item.number, 0.0):
            return Verdict.PASSED if item.refusals >= PATIENCE else Verdict.HOLDS_UP
        try:
            source = self._spool.open(item)
            if source is None:  # a newer one of its key, or the bound, has removed it
                return Verdict.PASSED
            with source:
                self._put(item, source)
            self._spool.remove(item)
        except StorageUnavailableError as error:
            return self._away(item, error)
        except Exception as error:  # noqa: BLE001 - a third party's storage may raise anything, and must not end the delivery
            return Verdict.AWAY if self._ending() else self._refused(item, error)
        self._answered(item)
        self._taken[item.parcel.area] += 1
        return Verdict.DELIVERED

    def _answered(self, item: Item) -> None:
        self._failures = 0
        self._failures_of.pop(item.parcel.execution_id, None)
        self._refused_until.pop(item.number, None)

    def _away(self, item: Item, error: StorageUnavailableError) -> Verdict:
        self._failures += 1
        self._failures_of[item.parcel.execution_id] = self._failures_of.get(item.parcel.execution_id, 0) + 1
        pause = _jittered(FIRST_PAUSE, self._failures, self._longest_pause)
        self._away_until = self._clock() + pause
        with suppress(OSError):  # the log says it, too
            self._spool.note_error(hidden(error.message))
        if self._failures == 1:
            logger.bind(execution_id=item.parcel.execution_id, key=item.parcel.key, error=error.message).warning(
                "the storage is away; what is to go waits"
            )
        return Verdict.AWAY

    def _refused(self, item: Item, error: Exception) -> Verdict:
        self._answered(item)
        text = error.message if isinstance(error, BotdockError) else repr(error)
        with suppress(OSError):  # a disk that takes no note of it
            item = self._spool.refuse(item, text)
        taken = self._taken[item.parcel.area]
        own_fault = isinstance(error, StorageKeyError) or taken > self._taken_before.get(item.number, 0)
        self._taken_before[item.number] = taken
        logger.bind(
            execution_id=item.parcel.execution_id, key=item.parcel.key, error=text, refusals=item.refusals
        ).warning("the storage refused an object")
        if item.refusals >= PATIENCE and own_fault:
            self._spool.fail(item)
            return Verdict.PASSED
        pause = _jittered(REFUSED_PAUSE, item.refusals, LONGEST_REFUSED_PAUSE)
        self._refused_until[item.number] = self._clock() + pause
        return Verdict.PASSED if item.refusals >= PATIENCE else Verdict.HOLDS_UP

    def _next_due(self) -> float | None:
        if self._failures:
            return max(self._away_until - self._clock(), 0.0)
        dues = self._refused_until.values()
        return max(min(dues) - self._clock(), 0.0) if dues else None

    def _forget_all_but(self, numbers: set[int], executions: set[str]) -> None:
        """Keep nothing in mind of what is gone."""
        self._refused_until = {number: due for number, due in self._refused_until.items() if number in numbers}
        self._taken_before = {number: taken for number, taken in self._taken_before.items() if number in numbers}
        self._failures_of = {name: count for name, count in self._failures_of.items() if name in executions}


def _jittered(first: float, failures: int, longest: float) -> float:
    """Return a pause that grows with the failures; at random, so that many processes do not come back at once."""
    bound = min(first * 2.0 ** min(failures - 1, 32), longest)
    return random.uniform(bound / 2, bound)  # noqa: S311 - a pause is no secret
