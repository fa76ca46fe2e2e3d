"""Series of counters in memory: quick to add to, quick to take away, and bounded in number."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, Self

from botdock.model.metrics import DURATION_BUCKETS, OTHER, OperationStats, Series

MAX_SERIES = 1000
"""Series of one kind: enough for ten runtimes on five engines with each of their phases, and still a small file."""
MAX_TEXT = 100
"""Characters of a name, or of a label's name or value; and of all of these together, how many there are."""
KINDS = frozenset({"execution", "phase", "container", "storage", "log", "cache"})
"""First words of botdock's own names; all other names share one limit, so that they cannot crowd these out."""

GRAIN = 2.0**-20
"""Seconds, about a millionth: what sums of durations are multiples of, so that adding them up is exact (within 272
years) and gives the same in any order. Otherwise a sum might become less by a rounding, which reads as a restart."""

_COUNT, _ERRORS, _BYTES, _SECONDS, _BUCKETS = range(5)
_EMPTY: list[Any] = [0, 0, 0, 0.0] + [0] * (len(DURATION_BUCKETS) + 1)
_FOREVER = 1e9
"""Seconds, 31 years: what claims to have taken longer was not timed well."""

Counters = dict[Series, list[Any]]
Operations = dict[Series, OperationStats]


class Admission:
    """Which series are kept apart; the others are counted together, as `OTHER`."""

    def __init__(self) -> None:
        self._known: set[Series] = set()
        self._counts: dict[str, int] = {}

    @classmethod
    def of(cls, operations: Iterable[Series]) -> Self:
        """Return one that has let in what is there already."""
        admission = cls()
        for key in operations:
            admission.place(key)
        return admission

    def place(self, key: Series) -> Series:
        """Return `key`, or `OTHER` when there are too many of its kind."""
        if key in self._known or key == OTHER:
            return key
        kind = key[0].partition(".")[0]
        kind = kind if kind in KINDS else ""
        texts = [key[0], *(text for pair in key[1] for text in pair)]
        if self._counts.get(kind, 0) >= MAX_SERIES or len(texts) > MAX_TEXT or max(map(len, texts)) > MAX_TEXT:
            return OTHER
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._known.add(key)
        return key


class LiveSeries:
    """What was recorded since the last look.

    The lock is held for the update of one counter, or for putting an empty dictionary in the place of the full one;
    never for anything that takes longer the more there is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: Counters = {}
        self._admission = Admission()

    def record(self, key: Series, seconds: float | None, size: int, success: bool) -> None:  # noqa: FBT001 - the hottest call of all, and keywords cost a part of it
        """Add one operation; see `MetricsService.record`."""
        if seconds is None or not 0.0 <= seconds < _FOREVER:
            seconds, bucket = 0.0, _COUNT
        else:
            bucket = _BUCKETS + bisect_left(DURATION_BUCKETS, seconds)
        with self._lock:
            counter = self._counters.get(key)
            if counter is None:
                counter = self._counters.setdefault(self._admission.place(key), _EMPTY.copy())
            counter[bucket] += 1
            counter[_SECONDS] += seconds
            if size > 0:
                counter[_BYTES] += size
            if not success:
                counter[_ERRORS] += 1

    def take(self, *, forget: bool = False) -> Counters:
        """Return what there is, and go on from nothing; no record falls between the two.

        Args:
            forget: Whether the names that were too many may be others from now on.
        """
        empty: Counters = {}
        admission = Admission() if forget else self._admission
        with self._lock:
            counters, self._counters, self._admission = self._counters, empty, admission
        return counters


def add_counters(operations: Operations, counters: Counters) -> None:
    """Add what was taken to what was there."""
    for key, counter in counters.items():
        found, stats = operations.get(key), _frozen(counter)
        operations[key] = stats if found is None else found.plus(stats)


def _frozen(counter: list[Any]) -> OperationStats:
    """Return a counter as it is told; until then, what was timed is counted in its bucket alone."""
    buckets = tuple(accumulate(counter[_BUCKETS:]))
    return OperationStats(
        count=counter[_COUNT] + buckets[-1],
        errors=counter[_ERRORS],
        bytes=counter[_BYTES],
        seconds=round(counter[_SECONDS] / GRAIN) * GRAIN,
        buckets=buckets,
    )


def add_operations(operations: Operations, more: Mapping[Series, OperationStats], admission: Admission) -> None:
    """Add `more`, within the bounds of `admission`."""
    for key, stats in more.items():
        place = admission.place(key)
        found = operations.get(place)
        operations[place] = stats if found is None else found.plus(stats)
