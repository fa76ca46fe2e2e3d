"""Which executions a state folder knows, and which one a name means."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from botdock._ownership import part_fault
from botdock.errors import UserError, nearest
from botdock.executions._files import (
    EXECUTIONS,
    OUTCOME,
    REQUEST,
    RUN,
    STOP,
    SUPERVISOR,
    execution_ids,
    is_waiting,
    read_json,
)
from botdock.executions._index import COLUMNS, ExecutionIndex, Row
from botdock.executions._lease import holder_lives
from botdock.executions._records import ExecutionRecord, ExecutionState
from botdock.model import Outcome
from botdock.model.execution import CONTAINER_PREFIX, EXECUTION_ID, first_id_at, time_of

_SHOWN = 3
_PREFIX = re.compile(r"[0-9a-z]{1,26}")
_AFTER = "~"
"""Sorts behind every character of an id."""
_NO_EXIT_CODE = 2**32
_OUTCOMES = frozenset(Outcome)
_NEWEST_FIRST = "ORDER BY execution_id DESC"
_RUNNING_FIRST = "ORDER BY outcome IS NOT NULL, execution_id DESC"
_NEWEST_OF_EACH_BOT = "execution_id IN (SELECT max(execution_id) FROM execution GROUP BY id)"
_LAST_OF_ITS_ROW = """execution_id IN (
    WITH RECURSIVE later(one) AS (VALUES (?) UNION SELECT execution_id FROM execution JOIN later ON previous = one)
    SELECT one FROM later WHERE one NOT IN (SELECT previous FROM execution JOIN later ON previous = one)
)"""
_LOOKED_AT = 200
"""Bots among which the one that may have been meant is looked for."""

TAKEOVER = 15.0
"""Seconds that a supervisor has to go on where the one before it stopped."""


class Catalogue:
    """Lists the executions of one state folder, and finds one by any of its names.

    Args:
        home: The state folder; None means the configured one (`BOTDOCK_HOME`, else the platform's).
    """

    def __init__(self, home: Path | str | None = None) -> None:
        if home is None:
            from botdock.config import load_home

            home = load_home()
        self.home = Path(home)
        self._seen: dict[str, float] = {}
        self._index = ExecutionIndex(self.home, lambda: execution_ids(self.home), self._row)

    def is_alive(self, record: ExecutionRecord) -> bool:
        """Tell whether an execution is under way now: it has no outcome, and its runner lives, or it waits for one.

        One that has lost its runner counts as alive for some more seconds where a supervisor may just be replaced.
        """
        directory = record.directory
        waits, held = is_waiting(directory), holder_lives(directory)
        if (directory / OUTCOME).exists():
            self._seen.pop(directory.name, None)
            return False
        now = time.monotonic()
        seen = self._seen.setdefault(directory.name, now)
        if waits or held:
            self._seen[directory.name] = now
            return True
        return now - seen < TAKEOVER and (self.home / SUPERVISOR).exists()

    def list(
        self,
        *,
        bot: str | None = None,
        runtime: str | None = None,
        engine: str | None = None,
        outcome: Outcome | None = None,
        running: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> Sequence[ExecutionRecord]:
        """Return executions, the newest first.

        Args:
            bot: Only those of this bot or backtest.
            runtime: Only those of this runtime, by its canonical name.
            engine: Only those of this engine.
            outcome: Only those that ended so.
            running: True for those without an outcome, False for those with one.
            since: Only those requested at that time or later.
            until: Only those requested before that time.
            limit: How many at most.
            before: Only those older than this execution id: the last one of the page before.
        """
        equal = {"id": bot, "runtime": runtime, "engine": engine, "outcome": outcome and outcome.value}
        conditions = {f"{column} = ?": value for column, value in equal.items() if value is not None}
        bounds = [
            ("execution_id >= ?", since and first_id_at(since)),
            ("execution_id < ?", until and first_id_at(until)),
        ]
        picked = [*conditions.items(), *bounds, ("execution_id < ? ", before)]
        picked = [(condition, value) for condition, value in picked if value is not None]
        where = " AND ".join([condition for condition, _ in picked] or ["1"])
        if running is not None:
            where += f" AND outcome IS {'' if running else 'NOT '}NULL"
        tail = _NEWEST_FIRST if limit is None else f"{_NEWEST_FIRST} LIMIT {min(int(limit), sys.maxsize)}"
        return [self._record(row) for row in self._index.select(where, [value for _, value in picked], tail=tail)]

    def get(self, name: str) -> ExecutionRecord:
        """Return one execution.

        Args:
            name: Its id, the beginning of one that no other has, the name or id of its container, or the id of a bot or
                backtest, which means the newest execution of it.

        Raises:
            UserError: It is not known, or several executions' ids begin so; or its folder, or that of its log, is a
                link or another user's, so nothing there is to be believed.
        """
        return self._get(name, _NEWEST_FIRST)

    def _to_stop(self, name: str) -> ExecutionRecord:
        """Return the execution that a stop is meant for: of a bot the newest that has not ended, if there is one."""
        return self._latest(self._get(name, _RUNNING_FIRST))

    def _get(self, name: str, order: str) -> ExecutionRecord:
        record = self._record(self._find(name, order))
        for path in (record.directory, record.logs):
            if fault := part_fault(path):
                hint = f"{fault.remedy}, or remove {record.directory}."
                raise UserError(f"an execution is not read: {fault}", hint=hint)
        return record

    def _find(self, name: str, order: str) -> Row:
        wanted = name.removeprefix(CONTAINER_PREFIX)
        if EXECUTION_ID.fullmatch(wanted) and (row := self._row(wanted)) is not None:
            return row
        begun = self._begun(wanted) if _PREFIX.fullmatch(wanted) else []
        if len(begun) == 1:
            return begun[0]
        found = self._index.select("id = ? OR container_id = ?", (name, name), tail=f"{order} LIMIT 1")
        if found and name:
            return found[0]
        raise self._ambiguous(name, begun) if begun else self._unknown(name)

    def _latest(self, record: ExecutionRecord) -> ExecutionRecord:
        """Return the last of the row of restarts that an execution is in, as far as those between are there."""
        found = self._index.select(_LAST_OF_ITS_ROW, (record.execution_id,), tail=f"{_NEWEST_FIRST} LIMIT 1")
        return self._record(found[0]) if found and found[0]["execution_id"] != record.execution_id else record

    def _again(self, record: ExecutionRecord, execution_id: str) -> ExecutionRecord:
        """Return the last of the row that an execution is in now; `record`, as ended, where that is removed by now."""
        try:
            return self._latest(self.get(execution_id))
        except UserError:
            if (self.home / EXECUTIONS / execution_id).exists():
                raise
            return attrs.evolve(record, state=ExecutionState.ENDED)

    def _begun(self, prefix: str) -> Sequence[Row]:
        return self._index.select(
            "execution_id >= ? AND execution_id < ?", (prefix, f"{prefix}{_AFTER}"), tail=_NEWEST_FIRST
        )

    def _row(self, execution_id: str) -> Row | None:
        """Read the row of one execution from its folder."""
        directory = self.home / EXECUTIONS / execution_id
        outcome = read_json(directory / OUTCOME)
        request = read_json(directory / REQUEST) or {}
        if not (outcome or directory.is_dir()) or directory.is_symlink():
            return None
        restart = given if isinstance(given := request.get("restart"), dict) else {}
        facts = {**request, **restart, **(({} if outcome else read_json(directory / RUN)) or {}), **(outcome or {})}
        return {column: _plain(facts.get(column)) for column in COLUMNS} | {"execution_id": execution_id}

    def _record(self, row: Row) -> ExecutionRecord:
        execution_id = str(row["execution_id"])
        directory = self.home / EXECUTIONS / execution_id
        outcome = Outcome(row["outcome"]) if row["outcome"] in _OUTCOMES else None
        not_before = _moment(row["not_before"])
        state = ExecutionState.ENDED if outcome else _state(directory, not_before, started=bool(row["started_at"]))
        if state is ExecutionState.ABANDONED and (ended := self._row(execution_id)) and ended["outcome"] in _OUTCOMES:
            return self._record(ended)  # it has ended since the row was read
        return ExecutionRecord(
            execution_id=execution_id,
            id=str(row["id"] or ""),
            entrypoint=str(row["entrypoint"] or ""),
            runtime=str(row["runtime"] or ""),
            engine=str(row["engine"] or ""),
            container_id=str(row["container_id"] or ""),
            state=state,
            outcome=outcome,
            exit_code=row["exit_code"] if isinstance(row["exit_code"], int) else None,
            error=str(row["error"] or ""),
            requested_at=time_of(execution_id),
            started_at=_moment(row["started_at"]),
            finished_at=_moment(row["finished_at"]),
            previous=str(row["previous"] or ""),
            restarts=_whole(row["restarts"], 0),
            generation=_whole(row["generation"], 1),
            not_before=not_before,
            in_a_row=_whole(row["in_a_row"], 0),
            last_error=str(row["last_error"] or ""),
            directory=directory,
        )

    def _ambiguous(self, name: str, begun: Sequence[Row]) -> UserError:
        shown = ", ".join(str(row["execution_id"]) for row in reversed(begun[:_SHOWN]))
        return UserError(
            f"{len(begun)} executions have an id that begins with {name!r}, the newest of them {shown}",
            hint="Write more of its characters.",
        )

    def _unknown(self, name: str) -> UserError:
        newest = self._index.select(_NEWEST_OF_EACH_BOT, tail=f"{_NEWEST_FIRST} LIMIT {_LOOKED_AT}")
        if not newest:
            return UserError(
                f"no execution {name[:80]!r}: {self.home} holds none at all", hint="`botdock run CODE` makes one."
            )
        near = nearest(name, {str(row["id"]) for row in newest if row["id"]})
        meant = f"did you mean {' or '.join(near)}?" if near else f"the newest is {newest[0]['execution_id']}"
        return UserError(
            f"no execution {name[:80]!r} in {self.home}; {meant}",
            hint="Give an execution's id, the beginning of one, or the id of a bot, whose newest execution it is then.",
        )


def _state(directory: Path, not_before: datetime | None, *, started: bool) -> ExecutionState:
    """Return where an execution stands that had no outcome a moment ago."""
    waits, held = is_waiting(directory), holder_lives(directory)
    if not waits and not held:
        return ExecutionState.ABANDONED
    if (directory / STOP).exists():
        return ExecutionState.STOPPING
    if held:
        return ExecutionState.RUNNING if started else ExecutionState.STARTING
    late = not_before is not None and not_before > datetime.now(UTC)
    return ExecutionState.RESTARTING if late else ExecutionState.QUEUED


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default


def _plain(value: object) -> str | int | None:
    """Return what a column may hold; a damaged document may have anything."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if isinstance(value, int) and abs(value) < _NO_EXIT_CODE else None


def _moment(text: object) -> datetime | None:
    with suppress(ValueError, TypeError):
        moment = datetime.fromisoformat(str(text)) if text else None
        return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
    return None
