"""One watch over a state folder: what is queued begins in its turn, and what ended is followed by what is to follow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs

from botdock._log import about, logger
from botdock.config import Config
from botdock.errors import BotdockError
from botdock.executions._files import (
    EXECUTIONS,
    OUTCOME,
    REQUESTS,
    changed_ns,
    is_orphan,
    is_waiting,
    read_json,
    request_ids,
)
from botdock.executions._lease import holder_lives
from botdock.executions._queue import withdraw
from botdock.executions._requests import read_request
from botdock.model import Outcome
from botdock.orchestrator.journal import tidy_up
from botdock.supervisor._keeper import Keeper
from botdock.supervisor._succession import settle
from botdock.supervisor._work import Work, groups

_LOOK = 1.0
"""Seconds between two turns when nothing rings."""
_RECOVER_EVERY = 600.0
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds until what failed for want of an engine or a disk is tried again; each pause is twice the one before."""
_MOMENT = 0.05
"""Seconds that one who asks needs to let go of what it has asked for."""


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


class Watch:
    """Watches over a state folder, in one thread; what takes long is done by others.

    Args:
        home: The state folder.
        config: The supervisor's.
        work: Begins executions, and tells when they are under way no more.
        keeper: Decides what follows an end.
    """

    def __init__(self, home: Path, config: Config, *, work: Work, keeper: Keeper) -> None:
        self._home = home
        self._config = config.supervisor
        self._work = work
        self._keeper = keeper
        self._queue: dict[str, Queued] = {}
        self._active: dict[str, str] = {}
        self._unsettled: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._looked_ns = 0
        self._recovered = float("-inf")
        self._busy = time.monotonic()

    @property
    def status(self) -> str:
        """How many run, and wait."""
        return f"{len(self._active)} run, {len(self._queue)} wait"

    @property
    def idle_for(self) -> float:
        """Seconds since there was something to watch."""
        return time.monotonic() - self._busy

    @property
    def put_off(self) -> set[str]:
        """What could not be done when it was tried last."""
        return set(self._pauses)

    def begin(self) -> None:
        """Go on with what a runner that died has left."""
        tidy_up(self._home)
        self._recover()

    def close(self) -> None:
        """Leave what is under way to the next supervisor."""
        self._work.close()

    def turn(self) -> float:
        """Do what there is to do, and return in how many seconds there is more."""
        self._hear()
        for _ in range(2):  # what follows an end is seen at once
            self._look()
            for execution_id in list(self._unsettled):
                self._settle(execution_id)
        places = self._config.parallel - len(self._active)
        for one in list(in_turn(self._queue.values(), self._active.values(), places, time.monotonic())):
            self._active[one.execution_id] = self._queue.pop(one.execution_id).bot
            self._work.begin(one.execution_id)
        if time.monotonic() - self._recovered > _RECOVER_EVERY:
            self._recover()
        self._work.close_idle()
        self._keeper.look(self._active)
        tried = {name for name in self._unsettled if self._pauses.get(name, 0.0) < _LONGEST}
        if self._active or self._queue or tried:
            self._busy = time.monotonic()
        return self._next()

    def _next(self) -> float:
        clock = time.monotonic()
        dues = [one.due - clock for one in self._queue.values() if one.due > clock]
        pauses = [self._not_before.get(name, clock) - clock for name in self._unsettled]
        return max(min([_LOOK, *dues, *pauses]), 0.0)

    def _hear(self) -> None:
        """Take note of which executions are not under way here any more, and which of them are to be tried again."""
        for execution_id, again in self._work.heard():
            self._active.pop(execution_id, None)
            self._unsettled.add(execution_id)
            if again:
                self._put_off(execution_id)
            else:
                self._pauses.pop(execution_id, None)

    def _put_off(self, execution_id: str) -> None:
        pause = min(2 * self._pauses.get(execution_id, _SHORTEST / 2), _LONGEST)
        self._pauses[execution_id] = pause
        self._not_before[execution_id] = time.monotonic() + pause

    def _look(self) -> None:
        """Read which requests there are, if that can have changed."""
        try:
            changed = changed_ns(self._home / REQUESTS)
            if changed == self._looked_ns != 0:
                return
            found = set(request_ids(self._home))
        except OSError as error:  # another program removed it, or took our right to read it
            self._looked_ns = 0
            logger.bind(error=str(error)).warning("what is asked for cannot be read now")
            return
        self._looked_ns = changed
        self._unsettled |= set(self._queue) - found
        self._queue = {name: one for name, one in self._queue.items() if name in found}
        self._unsettled |= found - set(self._queue) - set(self._active)

    def _settle(self, execution_id: str) -> None:
        """Find out what is to be done about an execution that is not under way here."""
        if self._not_before.get(execution_id, 0.0) > time.monotonic():
            return
        self._not_before.pop(execution_id, None)
        with about(execution_id):
            try:
                self._decide(execution_id, self._home / EXECUTIONS / execution_id)
            except (BotdockError, OSError) as error:
                logger.bind(error=str(error)).warning("what is to be done about it could not be decided on yet")
                self._put_off(execution_id)

    def _decide(self, execution_id: str, directory: Path) -> None:
        if (directory / OUTCOME).exists() or not directory.is_dir():
            settle(self._home, execution_id, read_json(directory / OUTCOME), self._keeper.follow)
            self._unsettled.discard(execution_id)
        elif is_waiting(directory):
            if holder_lives(directory):  # it is just being asked for
                self._not_before[execution_id] = time.monotonic() + _MOMENT
            elif (one := self._read(execution_id, directory)) is not None:
                self._queue[execution_id] = one
                self._unsettled.discard(execution_id)
        elif is_orphan(directory):
            self._recover({execution_id})
            self._unsettled -= set(self._active)
        else:  # another runner sees to its end, or ours to what is left of it
            self._put_off(execution_id)

    def _read(self, execution_id: str, directory: Path) -> Queued | None:
        try:
            request = read_request(self._home, execution_id, code=False)
        except ValueError as error:
            withdraw(directory, Outcome.INFRASTRUCTURE_ERROR, str(error))
            return None
        if request is None:
            return None
        longest, now = self._config.max_backoff, datetime.now(UTC)
        pause = seconds_until(request.restart.not_before, longest=longest, now=now)
        return Queued(execution_id, request.executable.id, time.monotonic() + pause)

    def _recover(self, only: Collection[str] | None = None) -> None:
        """Let executions be taken over whose runner has died: all of this state folder, or these."""
        if only is None:
            self._recovered = time.monotonic()
        for group in groups(self._home, only, self._active):
            self._active |= group.bots
            self._work.take_over(group)
