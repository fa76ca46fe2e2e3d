"""The loop of the supervisor: it takes what is queued, in turn, sees what ended, and goes when it is asked to."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botdock._log import about, logger
from botdock.config import Config, load
from botdock.errors import BotdockError, UserError
from botdock.executions._files import EXECUTIONS, OUTCOME, REQUESTS, is_orphan, is_waiting, read_json, request_ids
from botdock.executions._lease import holder_lives
from botdock.executions._queue import withdraw
from botdock.executions._requests import read_request
from botdock.factory import ServiceFactory
from botdock.model import Outcome
from botdock.orchestrator import BotOrchestrator
from botdock.plugin_manager import PluginManager
from botdock.supervisor._keeper import Keeper
from botdock.supervisor._readiness import ServiceManager
from botdock.supervisor._recovering import groups, tidy_up
from botdock.supervisor._seat import Bell, seated
from botdock.supervisor._succession import settle
from botdock.supervisor._turns import Queued, in_turn, seconds_until
from botdock.supervisor._work import Work

_LOOK = 1.0
"""Seconds between two turns when nothing rings."""
_COARSEST_NS = 2_000_000_000
"""Nanoseconds after which the time of change of a folder tells each change."""
_LINGER = 5.0
"""Seconds that a supervisor on demand stays for the next request."""
_RECOVER_EVERY = 600.0
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds until what failed for want of an engine or a disk is tried again; each pause is twice the one before."""
_MOMENT = 0.05
"""Seconds that one who asks needs to let go of what it has asked for."""


class SupervisorRunsError(UserError):
    """Another supervisor has this state folder."""


class Supervisor:
    """Watches over the executions that `submit` has asked for.

    Args:
        config_file: The configuration; None means the usual places.
        overrides: What is changed in it, nested like the file.
        on_demand: Whether it ends by itself once nothing is left to watch.

    Raises:
        ConfigError: The configuration is wrong.
    """

    def __init__(
        self,
        config_file: str | os.PathLike[str] | None = None,
        *,
        overrides: Mapping[str, Any] | None = None,
        on_demand: bool = False,
    ) -> None:
        self._config_file = config_file
        self._overrides = dict(overrides or {})
        self._config, self._plugins = self._load({})
        self.home: Path = self._config.checked_home(make=True)
        self._on_demand = on_demand
        self._manager = ServiceManager()
        self._work = Work(self.home, self._open, self._ring)
        self._keeper = Keeper(self._config, home=self.home, hook=self._plugins.notify)
        self._bell: Bell | None = None
        self._leaving = False
        self._queue: dict[str, Queued] = {}
        self._active: dict[str, str] = {}
        self._looked_ns = 0
        self._unsettled: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._recovered = float("-inf")
        self._busy = time.monotonic()

    def _load(self, overrides: Mapping[str, Any]) -> tuple[Config, PluginManager]:
        return load(Config, self._config_file, os.environ, {**self._overrides, **overrides}, None)

    def _open(self, overrides: Mapping[str, Any]) -> BotOrchestrator:
        return ServiceFactory(*self._load(overrides)).create_orchestrator()

    def hand_over(self) -> None:
        """Let `run` return soon; bots run on, and the next supervisor goes on with them. For signal handlers, too."""
        self._leaving = True
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def run(self, *, replace: bool = False, patience: float = 120.0) -> None:
        """Supervise, until `hand_over`, another one that replaces this, or, on demand, until nothing is left.

        Args:
            replace: Whether to ask a supervisor that lives to hand over, and to wait for that.
            patience: Seconds to wait for it, at most.

        Raises:
            SupervisorRunsError: Another one lives.
            BotdockError: The state folder cannot be written.
        """
        while True:
            with seated(self.home, replace=replace, patience=patience) as bell:
                if bell is None:
                    raise SupervisorRunsError(
                        f"a supervisor of {self.home} runs already",
                        hint="It has not handed over in time." if replace else "`--replace` asks it to hand over.",
                    )
                self._bell = bell
                self._watch(bell)
            if self._leaving or not self._came_late():
                return
            self._work = Work(self.home, self._open, self._ring)
            self._keeper = Keeper(self._config, home=self.home, hook=self._plugins.notify)

    def _watch(self, bell: Bell) -> None:
        logger.bind(home=str(self.home), pid=os.getpid()).info("the supervisor begins")
        try:
            tidy_up(self.home)
            self._recover()
            self._manager.tell("READY=1")
            while not self._leaving and not self._is_over():
                self._leaving = bell.wait(self._turn()) or self._leaving
        finally:
            self._manager.tell("STOPPING=1")
            self._work.close()
            self._keeper.close()
            logger.bind(left=len(self._active)).info("the supervisor ends")

    def _came_late(self) -> bool:
        """Tell whether something was asked for when the place was just being left: it must not wait for long."""
        return bool(set(request_ids(self.home)) - set(self._pauses))

    def _is_over(self) -> bool:
        tried = {name for name in self._unsettled if self._pauses.get(name, 0.0) < _LONGEST}
        if self._active or self._queue or tried or not self._on_demand:
            self._busy = time.monotonic()
        return time.monotonic() - self._busy > _LINGER

    def _turn(self) -> float:
        """Do what there is to do, and return in how many seconds there is more."""
        self._hear()
        self._look()
        for execution_id in list(self._unsettled):
            self._settle(execution_id)
        places = self._config.supervisor.parallel - len(self._active)
        for one in list(in_turn(self._queue.values(), self._active.values(), places, time.monotonic())):
            self._active[one.execution_id] = self._queue.pop(one.execution_id).bot
            self._work.begin(one.execution_id)
        if time.monotonic() - self._recovered > _RECOVER_EVERY:
            self._recover()
        self._work.close_idle()
        self._keeper.look(self._active)
        self._manager.live()
        self._manager.tell_status(f"{len(self._active)} run, {len(self._queue)} wait")
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
        changed = (self.home / REQUESTS).stat().st_mtime_ns
        if changed == self._looked_ns:
            return
        self._looked_ns = changed if time.time_ns() - changed > _COARSEST_NS else 0
        found = set(request_ids(self.home))
        self._queue = {name: one for name, one in self._queue.items() if name in found}
        self._unsettled |= found - set(self._queue) - set(self._active)

    def _settle(self, execution_id: str) -> None:
        """Find out what is to be done about an execution that is not under way here."""
        if self._not_before.get(execution_id, 0.0) > time.monotonic():
            return
        self._not_before.pop(execution_id, None)
        with about(execution_id):
            try:
                self._decide(execution_id, self.home / EXECUTIONS / execution_id)
            except (BotdockError, OSError) as error:
                logger.bind(error=str(error)).warning("what is to be done about it could not be decided on yet")
                self._put_off(execution_id)

    def _decide(self, execution_id: str, directory: Path) -> None:
        if (directory / OUTCOME).exists() or not directory.is_dir():
            settle(self.home, execution_id, read_json(directory / OUTCOME), self._keeper.follow)
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
            request = read_request(self.home, execution_id, code=False)
        except ValueError as error:
            withdraw(directory, Outcome.INFRASTRUCTURE_ERROR, str(error))
            return None
        if request is None:
            return None
        longest, now = self._config.supervisor.max_backoff, datetime.now(UTC)
        pause = seconds_until(request.restart.not_before, longest=longest, now=now)
        return Queued(execution_id, request.executable.id, time.monotonic() + pause)

    def _recover(self, only: Collection[str] | None = None) -> None:
        """Let executions be taken over whose runner has died: all of this state folder, or these."""
        if only is None:
            self._recovered = time.monotonic()
        for group in groups(self.home, only, self._active):
            self._active |= group.bots
            self._work.take_over(group)
