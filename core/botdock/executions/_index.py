"""The index of executions: one row each, filled by whoever lists, and rebuilt from the folders at any time.

A runner writes nothing here. A look compares the names in `executions/` with the rows, reads what is new, and asks
again about what had not ended. So a row is never newer than its folder, and an index that is absent, damaged or behind
costs one longer look.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs

NAME = "index.sqlite"
_VERSION = 1
_SETTLED_NS = 2_000_000_000
"""Nanoseconds after which a folder's time of change tells every change: file systems count in coarser steps."""
_BUSY = 2.0
"""Seconds to wait for another process that looks at the same moment."""

COLUMNS = (
    "execution_id", "id", "entrypoint", "runtime", "engine", "container_id", "outcome", "exit_code", "error",
    "started_at", "finished_at",
)  # fmt: skip
_SCHEMA = f"""
CREATE TABLE execution ({", ".join(COLUMNS)}, PRIMARY KEY (execution_id)) WITHOUT ROWID;
CREATE INDEX by_id ON execution (id, execution_id);
CREATE INDEX by_container ON execution (container_id);
CREATE INDEX unfinished ON execution (execution_id) WHERE outcome IS NULL;
CREATE TABLE look (folder_ns INTEGER NOT NULL);
INSERT INTO look VALUES (0);
PRAGMA user_version = {_VERSION};
"""  # noqa: S608 - no input

Row = dict[str, Any]


@attrs.define
class Index:
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
            return self._select(self._home / NAME, query, parameters)
        except sqlite3.OperationalError:  # another process holds it, or it cannot be written: look without it
            return self._select(":memory:", query, parameters)
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(OSError):
                    (self._home / f"{NAME}{suffix}").unlink()
            return self._select(":memory:", query, parameters)

    def _select(self, database: Path | str, query: str, parameters: Sequence[Any]) -> list[Row]:
        with closing(sqlite3.connect(database, timeout=_BUSY, isolation_level=None)) as connection:
            if not _is_current(connection):
                _create(connection)
            self._update(connection)
            values = [_storable(value) for value in parameters]
            return [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query, values)]

    def _update(self, connection: sqlite3.Connection) -> None:
        folder_ns = _changed_ns(self._home / "executions")
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
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM execution WHERE execution_id = ?", [(one,) for one in gone])
        connection.executemany(f"INSERT OR REPLACE INTO execution VALUES ({marks})", fresh)  # noqa: S608 - no input
        connection.execute("UPDATE look SET folder_ns = ?", (folder_ns,))
        connection.execute("COMMIT")


def _is_current(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION)


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables anew; what an older botdock left goes."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    if _is_current(connection):  # another process was quicker
        connection.execute("COMMIT")
        return
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f"DROP TABLE {table}")
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute("COMMIT")


def _storable(value: Any) -> Any:
    """Return a text to compare with; None, which equals nothing, for what no row can hold."""
    with suppress(UnicodeEncodeError):
        return value.encode().decode() if isinstance(value, str) else None
    return None


def _changed_ns(folder: Path) -> int:
    """Return when the folder last changed, nanoseconds since the epoch; 0 where that may not tell the next change."""
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - the nanoseconds alone
    except OSError:
        return 0
    return changed if time.time_ns() - changed > _SETTLED_NS else 0
