"""Keeps bots running: decides what follows their ends, and tells an operator what should be known."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from botdock._log import logger
from botdock._whole_files import publish
from botdock.config import Config, secrets_of
from botdock.executions._files import EXECUTIONS, REQUEST, RUN, read_json
from botdock.executions._queue import change_request
from botdock.executions._requests import Request, Restart
from botdock.model import Notification, NotificationKind, Outcome, RestartPolicy
from botdock.model.execution import REFUSED
from botdock.model.units import format_bytes
from botdock.supervisor._notify import Notifier
from botdock.supervisor._succession import End, successor_of

_LOOK = 5.0
"""Seconds between two looks at the bots that were in a crash loop, and at the disk."""
_PATIENCE = 5.0
"""Seconds to tell what waits when the supervisor ends."""
_REMEMBERED = 1024
"""Ends that are told once, though what follows them is decided again: because the disk took nothing, say.

The supervisor that comes after a kill knows none of them: an end is told at least once, and not exactly once.
"""
_AGAIN = 1.1
"""The disk is no longer low when so many times the bytes are free, so that one file more or less tells nothing."""
_ENDS = {outcome.value: outcome for outcome in Outcome}


class Keeper:
    """Keeps the bots of one state folder running; used by the thread of its supervisor alone.

    Args:
        config: The supervisor's.
        home: The state folder.
        hook: Calls the event hooks: their name, and arguments by keyword.
        clock: Returns seconds that only grow.
    """

    def __init__(
        self,
        config: Config,
        *,
        home: Path,
        hook: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._home = home
        self._clock = clock
        self._notifier = Notifier(config.notify, home=home, secrets=tuple(secrets_of(config)), hook=hook)
        self._watched: dict[str, _Watched | None] = {}
        self._told: deque[str] = deque(maxlen=_REMEMBERED)
        self._looked = float("-inf")
        self._disk_is_low = False

    def follow(self, request: Request, document: Mapping[str, Any]) -> Restart | None:
        """Decide what follows an execution that has ended, and tell of it; see `Follow`."""
        outcome = _ENDS.get(str(document.get("outcome")))
        if outcome is None:
            return None
        end, row = _end_of(request, outcome, document), request.restart.of_code(_code_of(document))
        decided = successor_of(end, row, self._config.supervisor, now=datetime.now(UTC), chance=random.random())  # noqa: S311 - not a secret
        after = decided if isinstance(decided, Restart) else None
        logger.bind(outcome=outcome.value, follows=after.restarts if after else decided).info("an execution has ended")
        if request.execution_id in self._told:
            return after
        self._told.append(request.execution_id)
        told = _about(request, row, outcome=outcome, exit_code=_whole(document.get("exit_code")), error=end.error)
        self._tell_of_the_end(request, row, end, decided, told)
        return after

    def _tell_of_the_end(
        self, request: Request, row: Restart, end: End, decided: Restart | str, told: dict[str, Any]
    ) -> None:
        bot, outcome = request.executable.id, end.outcome
        said = f"{bot} ended as {outcome.value}{f': {end.error}' if end.error else ''}"
        if isinstance(decided, Restart):
            said += f"; it is restarted (restart {decided.restarts})"
        elif end.policy != RestartPolicy():
            said += f"; it is not restarted: {decided}"
        if outcome.value in self._config.notify.outcomes:
            self._tell(NotificationKind.OUTCOME, said, **told)
        if isinstance(decided, Restart) and decided.is_crash_loop and not row.is_crash_loop:
            said = f"{bot} is in a crash loop: {decided.in_a_row} restarts in a row, the last end: {decided.last_error}"
            self._tell(NotificationKind.CRASH_LOOP, said, **{**told, "restarts": decided.in_a_row})
        is_well = outcome is Outcome.SUCCEEDED or end.ran_for >= self._config.supervisor.stable
        if row.is_crash_loop and is_well:
            self._tell(NotificationKind.RECOVERED, f"{bot} is in no crash loop any more", **told)

    def look(self, running: Collection[str]) -> None:
        """Look, now and then, whether a bot has recovered from a crash loop, and whether the disk is full soon.

        Args:
            running: The executions that are under way.
        """
        if self._clock() - self._looked < _LOOK:
            return
        self._looked = self._clock()
        self._look_at_the_disk()
        self._watched = {one: self._watched[one] if one in self._watched else self._first(one) for one in running}
        for execution_id, watched in self._watched.items():
            if watched is not None and self._has_recovered(execution_id, watched):
                self._watched[execution_id] = None
                self._note_recovered(execution_id)

    def _first(self, execution_id: str) -> _Watched | None:
        """Return what to look at of an execution from now on; nothing, unless it is one of a crash loop."""
        given = (read_json(self._home / EXECUTIONS / execution_id / REQUEST) or {}).get("restart")
        try:
            return _Watched() if isinstance(given, dict) and Restart.read(given).is_crash_loop else None
        except (TypeError, ValueError):
            return None

    def _has_recovered(self, execution_id: str, watched: _Watched) -> bool:
        if watched.since is None:
            run = read_json(self._home / EXECUTIONS / execution_id / RUN) or {}
            watched.since = self._clock() if run.get("started_ns") else None
        return watched.since is not None and self._clock() - watched.since >= self._config.supervisor.stable

    def _note_recovered(self, execution_id: str) -> None:
        """Tell that a bot runs again, and write that down, so that it is told once and its next restart is a first."""
        try:
            request = change_request(
                self._home, execution_id, lambda one: attrs.evolve(one, restart=one.restart.well())
            )
            if request is None:
                return
            well = request.restart
            path = self._home / EXECUTIONS / execution_id / REQUEST
            visible = read_json(path)
            if visible is not None:
                publish(path, json.dumps({**visible, "restart": well.document()}).encode())
        except (ValueError, OSError) as error:
            logger.bind(error=str(error), execution_id=execution_id).warning("a recovery could not be written down")
            return
        said = f"{request.executable.id} runs again, for {self._config.supervisor.stable:g} seconds so far"
        self._tell(NotificationKind.RECOVERED, said, **_about(request, request.restart))

    def _look_at_the_disk(self) -> None:
        bound = self._config.notify.free_bytes
        try:
            free = shutil.disk_usage(self._home).free
        except OSError:
            return
        if free >= bound * _AGAIN:
            self._disk_is_low = False
        elif free < bound and not self._disk_is_low:
            self._disk_is_low = True
            said = f"the disk of {self._home} has {format_bytes(free)} free, less than {format_bytes(bound)}"
            logger.bind(free=free).warning("the disk is full soon")
            self._tell(NotificationKind.DISK_LOW, said, free_bytes=free)

    def _tell(self, kind: NotificationKind, message: str, **facts: Any) -> None:
        now = datetime.now(UTC)
        self._notifier.tell(Notification(kind=kind, message=message, at=now, home=str(self._home), **facts))

    def close(self) -> None:
        """Tell what waits to be told, for a moment."""
        self._notifier.close(_PATIENCE)


@attrs.define
class _Watched:
    """An execution of a bot that was in a crash loop.

    Attributes:
        since: When it was first seen running, by the clock; None while it was not.
    """

    since: float | None = None


def _end_of(request: Request, outcome: Outcome, document: Mapping[str, Any]) -> End:
    """Return the end that `outcome.json` tells of, which a disk may have damaged."""
    evidence = document.get("evidence")
    facts: Mapping[str, Any] = evidence if isinstance(evidence, dict) else {}
    duration = document.get("duration_seconds")
    return End(
        execution_id=request.execution_id,
        outcome=outcome,
        error=str(document.get("error") or ""),
        ran_for=duration if isinstance(duration, int | float) else 0.0,
        policy=_policy_of(request, facts),
        stop_asked=request.stopped,
        refused=bool(facts.get(REFUSED)) and not request.restart.previous,
    )


def _policy_of(request: Request, evidence: Mapping[str, Any]) -> RestartPolicy:
    """Return the policy in force; where the execution did not come so far, what its caller said or held before it."""
    with suppress(KeyError, TypeError, ValueError):
        return RestartPolicy.parse(evidence["bounds"]["restart"]["value"])
    if request.executable.restart is not None:
        return request.executable.restart
    with suppress(ValueError):
        return RestartPolicy.parse(request.restart.policy)
    return RestartPolicy()


def _about(request: Request, row: Restart, **facts: Any) -> dict[str, Any]:
    named = {"id": request.executable.id, "execution_id": request.execution_id}
    return {**named, "restarts": row.in_a_row, **facts}


def _code_of(document: Mapping[str, Any]) -> str:
    evidence = document.get("evidence")
    return str(evidence.get("code_digest") or "") if isinstance(evidence, dict) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
