"""The sum over all runners of a state folder: one SQLite file, to which each adds what it counted since it last did.

A runner's numbers are in its memory or in the file, and one transaction moves them. So a SIGKILL costs what was counted
since the last one, and nothing is counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from threading import Lock
from typing import Any

import attrs

from botdock._database import Database
from botdock._log import logger
from botdock._whole_files import make_private
from botdock.errors import MetricsError
from botdock.model.metrics import DURATION_BUCKETS, OTHER, MetricsExporter, MetricsSnapshot, OperationStats, Series
from botdock.services.metrics.series import Admission, Counters, Operations, add_counters, add_operations

NAME = "total.sqlite"

_BOUNDS = [f"le_{number}" for number in range(len(DURATION_BUCKETS) + 1)]
_COLUMNS = ("count", "errors", "bytes", "seconds", *_BOUNDS)
_MOST = 2**61
"""What no count becomes greater than: two of it are still an integer of SQLite's."""
_SCHEMA = (
    "CREATE TABLE total (since REAL NOT NULL, runners INTEGER NOT NULL) STRICT",
    "CREATE TABLE operation (series TEXT PRIMARY KEY, seconds REAL NOT NULL, "
    + ", ".join(f"{column} INTEGER NOT NULL" for column in _COLUMNS if column != "seconds")
    + f") STRICT, WITHOUT ROWID -- {DURATION_BUCKETS}",  # other bounds make another version
)
_ADD = (
    f"INSERT INTO operation (series, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)}) "  # noqa: S608 - no input
    f"ON CONFLICT (series) DO UPDATE SET {', '.join(f'{c} = min({c} + excluded.{c}, {_MOST})' for c in _COLUMNS)}"
)


@attrs.frozen(kw_only=True)
class MetricsTotal:
    """The sum over all runners of a state folder.

    Attributes:
        snapshot: What they counted.
        runners: How many counted something.
    """

    snapshot: MetricsSnapshot
    runners: int = 0


def read_total(folder: Path) -> MetricsTotal:
    """Return the sum over all runners of a folder (see `metrics_folder`); nothing, where there is none.

    Raises:
        MetricsError: It cannot be read.
    """
    return _look(folder, forget=False)


def reset_total(folder: Path) -> MetricsTotal:
    """Let the sum begin again from nothing, and return what it was; nothing is counted twice or missed over it.

    Raises:
        MetricsError: It cannot be done.
    """
    return _look(folder, forget=True)


class TotalExporter(MetricsExporter):
    """Adds what one runner counts to the sum.

    Args:
        folder: Where it lies, made when there is something to add.
        begun: When this runner began to count, UTC.
        collect: Has `add` called with what was recorded meanwhile.
    """

    def __init__(self, folder: Path, begun: datetime, collect: Callable[[], object]) -> None:
        self._folder = folder
        self._begun = begun
        self._collect = collect
        self._lock = Lock()
        self._pending: Operations = {}
        self._writing = Lock()
        self._counted_since = 0.0
        self._file = _database(folder)
        self._summed: MetricsSnapshot | None = None

    def add(self, counters: Counters) -> None:
        """Take what was recorded, to be written later."""
        with self._lock:
            add_counters(self._pending, counters)

    def export(self, snapshot: MetricsSnapshot | None = None) -> None:  # noqa: ARG002 - it may begin at a reset
        """Write what has been counted since it was last written.

        Raises:
            MetricsError: The disk does not take it; it is written with the next.
        """
        self._collect()
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, {}
            if not pending:
                return
            try:
                self._write(pending)
            except Exception:
                with self._lock:
                    add_operations(self._pending, pending, Admission.of(self._pending))
                raise

    def total(self) -> MetricsSnapshot | None:
        """Return the sum over all runners of the folder, with what this one has counted up to now.

        A later one is never less. When it cannot be had, it is the last one that could, or None.
        """
        try:
            self.export()
            self._summed = read_total(self._folder).snapshot
        except MetricsError as error:
            logger.bind(folder=str(self._folder), error=str(error)).warning("metrics of other runners not read")
        return self._summed

    def close(self) -> None:
        """Do nothing: the last numbers have been written, and the file is not held open."""

    def _write(self, pending: Operations) -> None:
        with _explained(self._folder):
            make_private(self._folder)
            with self._file.transaction() as database:
                fitting: Operations = {}
                known = [_series(text) for (text,) in database.execute("SELECT series FROM operation")]
                add_operations(fitting, pending, Admission.of(known))
                database.executemany(_ADD, [_row(series, stats) for series, stats in fitting.items()])
                since = _begin(database, self._begun)
                if since != self._counted_since:
                    database.execute("UPDATE total SET runners = runners + 1")
        self._counted_since = since


def _database(folder: Path) -> Database:
    return Database(folder / NAME, _SCHEMA)


def _begin(database: Connection, since: datetime) -> float:
    """Return when counting began: `since`, where it had not."""
    database.execute("INSERT INTO total SELECT ?, 0 WHERE NOT EXISTS (SELECT * FROM total)", (since.timestamp(),))
    return float(database.execute("SELECT since FROM total").fetchone()[0])


def _look(folder: Path, *, forget: bool) -> MetricsTotal:
    now, file = datetime.now(UTC), _database(folder)
    if not file.exists():
        return MetricsTotal(snapshot=MetricsSnapshot(taken_at=now, since=now, operations={}))
    with _explained(folder), file.transaction(write=forget) as database:
        since, runners = database.execute("SELECT since, runners FROM total").fetchone() or (now.timestamp(), 0)
        operations: Operations = {}
        for text, *numbers in database.execute(f"SELECT series, {', '.join(_COLUMNS)} FROM operation"):  # noqa: S608 - no input
            series, stats = _series(text), _stats(numbers)
            operations[series] = operations[series].plus(stats) if series in operations else stats
        if forget:
            database.execute("DELETE FROM operation")
            database.execute("UPDATE total SET since = ?, runners = 0", (now.timestamp(),))
    snapshot = MetricsSnapshot(taken_at=now, since=datetime.fromtimestamp(since, UTC), operations=operations)
    return MetricsTotal(snapshot=snapshot, runners=runners)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MetricsError(f"metrics folder {folder}: {error.strerror or error}") from error


def _row(series: Series, stats: OperationStats) -> tuple[str | float, ...]:
    numbers = (stats.count, stats.errors, stats.bytes, stats.seconds, *stats.buckets)
    return (json.dumps(series), *(min(number, _MOST) for number in numbers))


def _stats(numbers: list[Any]) -> OperationStats:
    count, errors, size, seconds, *buckets = numbers
    return OperationStats(count=count, errors=errors, bytes=size, seconds=seconds, buckets=tuple(buckets))


def _series(text: str) -> Series:
    """Return a row's series; `OTHER`, where a damaged disk has made another text of it."""
    try:
        name, labels = json.loads(text)
        return str(name), tuple((str(label), str(value)) for label, value in labels)
    except (ValueError, TypeError):
        return OTHER
