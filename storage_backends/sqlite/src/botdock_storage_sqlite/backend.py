"""The storage: objects are rows of one SQLite file."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from botdock import StorageBackend
from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError, StorageUnavailableError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, validate_key

_PIECE = 1024 * 1024
"""Bytes that are held in memory."""
_PATIENCE = 60.0
"""Seconds that a writer waits for the others."""
_TABLE = """CREATE TABLE IF NOT EXISTS objects
    (area TEXT, key TEXT, size INT, etag TEXT, modified REAL, data BLOB, PRIMARY KEY (area, key))"""


class SqliteBackend(StorageBackend):
    """Keeps the objects of one area in a file of SQLite; any number of threads and processes may use it at once."""

    def __init__(self, path: Path, area: str) -> None:
        """Make the file, unless it is there.

        Args:
            path: The file; its folder exists.
            area: What is kept apart from the objects of other areas.

        Raises:
            StorageUnavailableError: The file cannot be opened.
        """
        self._path = path
        self._area = area
        with self._database() as database:
            database.execute(_TABLE)

    @property
    def location(self) -> str:
        """The file, for messages."""
        return f"sqlite ({self._path}, {self._area})"

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object; what is read stays the same when it is replaced meanwhile."""
        with self._database() as database:
            database.execute("BEGIN")
            row, size = self._find(database, key, "rowid, size")
            left = max(size - offset, 0) if length is None else max(min(length, size - offset), 0)
            copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            with database.blobopen("objects", "data", row, readonly=True) as blob:
                blob.seek(min(offset, size))
                while left:
                    left -= copy.write(blob.read(min(left, _PIECE)))
        copy.seek(0)
        return cast("ObjectReader", copy)  # typeshed says less of a file's `__exit__` than it takes

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; readers see all of it or nothing."""
        validate_key(key)
        digest, total = hashlib.sha256(), 0
        with tempfile.TemporaryFile() as spool, self._database() as database:
            while piece := source.read(_PIECE):
                digest.update(piece)
                total += spool.write(piece)
            if size is not None and total != size:
                raise StorageError(
                    f"{key!r}: {size} bytes were announced, {total} came", key=key, backend=self.location
                )
            spool.seek(0)
            info = ObjectInfo(key=key, size=total, etag=digest.hexdigest(), modified=datetime.now(UTC))
            database.execute("BEGIN IMMEDIATE")
            values = (self._area, key, total, info.etag, info.modified.timestamp(), total)
            insert = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, zeroblob(?))"
            row = database.execute(insert, values).lastrowid or 0
            with database.blobopen("objects", "data", row) as blob:
                while piece := spool.read(_PIECE):
                    blob.write(piece)
            database.execute("COMMIT")
        return info

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with `prefix`, in the order of the keys' bytes."""
        query = """SELECT key, size, etag, modified FROM objects
            WHERE area = ? AND substr(key, 1, ?) = ? ORDER BY key"""
        with self._database() as database:
            rows = database.execute(query, (self._area, len(prefix), prefix)).fetchall()
        yield from (_described(*row) for row in rows)

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete objects; one that is not there is not a failure."""
        for key in keys:
            try:
                validate_key(key)
            except StorageKeyError as error:
                yield DeleteFailure(key=key, reason=error.message)
                continue
            with self._database() as database:
                database.execute("DELETE FROM objects WHERE area = ? AND key = ?", (self._area, key))

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object."""
        with self._database() as database:
            return _described(key, *self._find(database, key, "size, etag, modified"))

    def close(self) -> None:
        """Do nothing: each call opens the file and closes it."""

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            try:
                yield database
            finally:
                database.close()
        except sqlite3.Error as error:  # a lock, a full disk, a folder that is gone: it may pass
            raise StorageUnavailableError(f"{self.location}: {error}", backend=self.location) from error

    def _find(self, database: sqlite3.Connection, key: str, columns: str) -> tuple[Any, ...]:
        query = f"SELECT {columns} FROM objects WHERE area = ? AND key = ?"  # noqa: S608 - columns are our own words
        row: tuple[Any, ...] | None = database.execute(query, (self._area, validate_key(key))).fetchone()
        if row is None:
            raise ObjectNotFoundError(key, backend=self.location)
        return row


def _described(key: str, size: int, etag: str, modified: float) -> ObjectInfo:
    return ObjectInfo(key=key, size=size, etag=etag, modified=datetime.fromtimestamp(modified, UTC))
