"""The index of executions: one row each, filled by each listing, and rebuilt from the folders at any time.

A runner writes nothing here. A look compares the names in `executions/` with the rows, reads what is new, and asks
again about what had not ended. So a row is never newer than its folder, and an index that is absent, damaged or behind
costs one longer look.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs

from botdock._database import Database
from botdock.executions._files import changed_ns

NAME = "index.sqlite"

COLUMNS = (
    "execution_id", "id", "entrypoint", "runtime", "engine", "container_id", "outcome", "exit_code", "error",
    "started_at", "finished_at", "previous", "restarts", "generation", "not_before",
    "in_a_row", "last_error",
)  # fmt: skip
_SCHEMA = (
    f"CREATE TABLE execution ({', '.join(COLUMNS)}, PRIMARY KEY (execution_id)) WITHOUT ROWID",
    "CREATE INDEX by_id ON execution (id, execution_id)",
    "CREATE INDEX by_previous ON execution (previous)",
    "CREATE INDEX by_container ON execution (container_id)",
    "CREATE INDEX unfinished ON execution (execution_id) WHERE outcome IS NULL",
    "CREATE TABLE look (folder_ns INTEGER NOT NULL)",
    "INSERT INTO look VALUES (0)",
)

Row = dict[str, Any]


@attrs.define
class ExecutionIndex:
    """The rows of one state folder.

    Args:
        home: The state folder.
        ids: Returns the ids of all executions that have a folder.
        read: Returns the row of one, or None when its folder is gone.
    """

    _home: Path
    _ids: Callable[[], Iterable[str]]
    _read: Callable[[str], Row | None]

    def select(self, where: str = "1", parameters: Sequence[Any] = (), *, tail: str = "") -> list[Row]:
        """Bring the rows up to date, and return those that a condition picks.

        Args:
            where: A condition in SQL over `COLUMNS`.
            parameters: For its question marks.
            tail: What follows it: an order, a limit.
        """
        query = f"SELECT {', '.join(COLUMNS)} FROM execution WHERE {where} {tail}"  # noqa: S608 - from this package alone
        try:
            with Database(self._home / NAME, _SCHEMA, disposable=True).transaction(write=False) as connection:
                return self._select(connection, query, parameters)
        except OSError:  # another process changes it, or it cannot be written: look without it
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
                for statement in _SCHEMA:
                    connection.execute(statement)
                return self._select(connection, query, parameters)

    def _select(self, connection: sqlite3.Connection, query: str, parameters: Sequence[Any]) -> list[Row]:
        self._update(connection)
        values = [_storable(value) for value in parameters]
        return [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query, values)]

    def _update(self, connection: sqlite3.Connection) -> None:
        folder_ns = 0
        with suppress(OSError):
            folder_ns = changed_ns(self._home / "executions")
        known_ns = connection.execute("SELECT folder_ns FROM look").fetchone()[0]
        columns = ", ".join(COLUMNS)
        known_rows = connection.execute(f"SELECT {columns} FROM execution WHERE outcome IS NULL").fetchall()  # noqa: S608 - no input
        unfinished = {row[0] for row in known_rows}
        gone: set[str] = set()
        if folder_ns != known_ns or not folder_ns:
            there = set(self._ids())
            known = {row[0] for row in connection.execute("SELECT execution_id FROM execution")}
            gone, unfinished = known - there, (unfinished & there) | (there - known)
        rows = {execution_id: self._read(execution_id) for execution_id in unfinished}
        gone |= {execution_id for execution_id, row in rows.items() if row is None}
        fresh = {tuple(row[column] for column in COLUMNS) for row in rows.values() if row is not None} - set(known_rows)
        if not (fresh or gone or folder_ns != known_ns):
            return
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany("DELETE FROM execution WHERE execution_id = ?", [(one,) for one in gone])
        connection.executemany(f"INSERT OR REPLACE INTO execution VALUES ({marks})", fresh)  # noqa: S608 - no input
        connection.execute("UPDATE look SET folder_ns = ?", (folder_ns,))


def _storable(value: Any) -> Any:
    """Return a text to compare with; None, which equals nothing, for what no row can hold."""
    with suppress(UnicodeEncodeError):
        return value.encode().decode() if isinstance(value, str) else None
    return None
