"""When the time of an execution is over: its wall time, the time to its first output, and that without any."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

import attrs

from botdock._boot_clock import seconds_since
from botdock.errors import LogError
from botdock.model import ContainerStatus
from botdock.orchestrator.plan import Bounds
from botdock.orchestrator.run import Run
from botdock.services.logs import CollectionStatus

SETTLED = 2.0
"""Seconds for which a log that was opened again must have brought nothing before that counts as the bot's silence."""
AWAY_PAUSE = 0.5
"""Seconds between two looks at a log that is being opened again."""
_NEVER = float("inf")


class Timeout(StrEnum):
    """What it took too long for."""

    WALL = "wall"
    START = "start"
    SILENCE = "silence"


@attrs.define(eq=False)
class Deadlines:
    """The deadlines of one execution, all of them on the monotonic clock.

    Silence is the bot's only while its log is being read and its engine answers: a log that is being opened again, or a
    daemon that hangs, ends none. Until the first output `start_timeout` holds, if there is one, and `silence_timeout`
    from then on.

    Args:
        log: Tells how the collection of its log stands.
    """

    _log: Callable[[], CollectionStatus]
    _bounds: Bounds = attrs.field(factory=Bounds, init=False)
    _listens: bool = attrs.field(default=False, init=False)
    _started: float = attrs.field(default=0.0, init=False)
    _heard: float | None = attrs.field(default=None, init=False)
    _counts_from: float = attrs.field(default=0.0, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def begin(self, bounds: Bounds, started: float, *, wall_started: float) -> None:
        """Count from now on.

        Args:
            bounds: Those of the execution; what is None has no deadline.
            started: When it was started, on the monotonic clock.
            wall_started: The same as seconds since the epoch: by it, what an earlier runner stored is placed.
        """
        self._bounds, self._started = bounds, started
        self._listens = not (bounds.start_timeout is None and bounds.silence_timeout is None)
        if self._listens:
            with suppress(LogError):
                if (stored_ns := self._log().stored_before_ns) is not None:
                    self._heard = _placed(stored_ns / 1e9, started=started, wall_started=wall_started)

    def engine_is_back(self) -> None:
        """Let its silence begin anew: what it wrote meanwhile may not have come yet."""
        self._counts_from = time.monotonic()

    def left(self, *, hears: bool) -> tuple[float, Timeout | None]:
        """Return after how many seconds to ask again, and which deadline has passed, but only the first time.

        Args:
            hears: Whether the engine answers, so that silence can be the bot's.
        """
        if self._over:
            return _NEVER, None
        now, timeout = time.monotonic(), self._bounds.timeout
        wall = (_NEVER if timeout is None else self._started + timeout, Timeout.WALL)
        quiet = self._quiet(now) if hears and self._listens else (_NEVER, None)
        end, which = min(wall, quiet, key=lambda deadline: deadline[0])
        if end > now:
            return end - now, None
        self._over = True
        return _NEVER, which

    def _quiet(self, now: float) -> tuple[float, Timeout | None]:
        """Return when its silence will be too long, and for which of the two; None where that is not known now."""
        try:
            log = self._log()
        except LogError:  # it is being ended
            return _NEVER, None
        if log.read_since is None:
            return now + AWAY_PAUSE, None
        bounds, last = self._bounds, self._heard if log.last_output is None else log.last_output
        starts = last is None and bounds.start_timeout is not None
        limit = bounds.start_timeout if starts else bounds.silence_timeout
        if limit is None:
            return _NEVER, None
        end = max(self._started if last is None else last, self._counts_from) + limit
        end = max(end, log.read_since + SETTLED) if log.read_since else end
        return end, Timeout.START if starts else Timeout.SILENCE


def elapsed_of(run: Run, status: ContainerStatus) -> float:
    """Return how many seconds ago a runner that died started it.

    The wall clock says so only where no other one goes back as far: the machine was booted meanwhile, while the bot ran
    on another one, and so for longer than since then; or an earlier botdock did not write the moment down.
    """
    if (passed := seconds_since(run.started)) is not None:
        return passed
    started = status.started_at.timestamp() if status.started_at else run.started_ns / 1e9
    return max(time.time() - started, time.monotonic() if run.started else 0.0)


def _placed(wall: float, *, started: float, wall_started: float) -> float:
    """Return a time of the wall clock on the monotonic one.

    The wall clock may have been set before or after that time: seen from the start, and seen from now, it lies where it
    was only if the clock was not set in between. The later of the two that can be is taken; if none can be, now is.
    """
    now = time.monotonic()
    seen = (started + wall - wall_started, now - (time.time() - wall))
    return max((moment for moment in seen if started <= moment <= now), default=now)
