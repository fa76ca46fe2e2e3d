"""Whose turn it is among the executions that wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs


@attrs.frozen
class Queued:
    """What must be known of a request to choose among those that wait.

    Attributes:
        execution_id: Sorts by the time at which it was asked for.
        bot: The id of its bot.
        due: When it may start, by the monotonic clock.
    """

    execution_id: str
    bot: str
    due: float = 0.0


def seconds_until(not_before: datetime | None, *, longest: float, now: datetime) -> float:
    """Return the pause until a time that was written down; a clock that was set back since then prolongs none.

    Args:
        not_before: The time; None for now.
        longest: The longest pause that there is.
        now: The time, by the same clock as the other one.
    """
    return min(max((not_before - now).total_seconds(), 0.0), longest) if not_before else 0.0


def in_turn(queue: Iterable[Queued], running: Iterable[str], places: int, now: float) -> Iterator[Queued]:
    """Yield what begins now: the oldest of the bot that has the fewest running, and so on.

    Args:
        queue: What waits.
        running: For each execution that runs, the id of its bot.
        places: How many more may run.
        now: The time, by the monotonic clock.
    """
    counts = Counter(running)
    ready = sorted((one for one in queue if one.due <= now), key=lambda one: one.execution_id)
    for _ in range(min(places, len(ready))):
        one = min(ready, key=lambda one: counts[one.bot])  # of several, the first: it is the oldest
        ready.remove(one)
        counts[one.bot] += 1
        yield one
