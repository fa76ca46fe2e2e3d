"""One SQLite file that processes share: each change is there wholly or not at all, also after a kill.

It is opened anew for each transaction: threads need no more than that, and a file that was removed is made again.

What undoes a transaction lies in a journal beside it. SQLite's other way (WAL) has processes share memory that is a
file, and a write to that ends the process (SIGBUS) where the disk is full, or the file has become read-only.
"""

from __future__ import annotations

import errno
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from botdock._locks import locked

BUSY = 10.0
"""Seconds to wait for another process; a transaction takes milliseconds."""


class Database:
    """The file, made with the first transaction; its folder is there.

    Args:
        path: Where it lies.
        schema: The statements that make its tables; other ones make another version.
        durable: Whether a transaction is on the disk when it ends, whatever becomes of the machine; else a power cut
            may take the last seconds, and never leaves a half.
        disposable: Whether it can be filled again: one that is damaged, or of another version, goes without a word.
    """

    def __init__(self, path: Path, schema: Sequence[str], *, durable: bool = False, disposable: bool = False) -> None:
        self.path = path
        self.damaged = path.with_name(f"damaged-{path.name}")
        self._schema = schema
        self._version = zlib.crc32("\n".join(schema).encode()) >> 1
        self._disposable = disposable
        self._journal, self._synchronous = ("PERSIST", "FULL") if durable else ("DELETE", "NORMAL")

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        """Hold the file against all others; commit at the end, and change nothing when an error passes through.

        With `write=False` it sees the file as of one instant, beside others that only look.
        One that is damaged is kept under another name, and a new one begun.

        Raises:
            OSError: The disk does not take it, another process held it for too long, or damage was found only now.
        """
        with _as_os_error(self.path), closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    connection.close()
                    self._put_aside()
                raise
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        self._put_aside()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            if _version_of(connection) != self._version:
                with locked(self._lock, timeout=BUSY):
                    self._create(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            with suppress(sqlite3.OperationalError):  # an earlier botdock may hold the file open in a mode of its own
                connection.execute(f"PRAGMA journal_mode = {self._journal}")
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")

    def _create(self, connection: sqlite3.Connection) -> None:
        version = _version_of(connection)
        if version == self._version:  # another process was quicker
            return
        if version and not self._disposable:
            raise OSError(errno.EINVAL, f"another version of botdock wrote it: move {self.path} away")
        connection.execute("BEGIN IMMEDIATE")
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE {table}")
        for statement in self._schema:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {self._version}")
        connection.execute("COMMIT")

    def _put_aside(self) -> None:
        with locked(self._lock, timeout=BUSY):
            if not self._is_damaged():  # another process was quicker
                return
            self.path.replace(self.damaged)
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        if self._disposable:
            self.damaged.unlink()
        else:
            from botdock._log import logger  # imports loguru, which nothing else here needs

            logger.bind(kept=str(self.damaged)).warning("{} is damaged; a new one begins", self.path)

    def _is_damaged(self) -> bool:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY)) as connection:
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            return True


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell it from a busy file, a full disk, and a mistake of ours, which are classes of their own."""
    return type(error) is sqlite3.DatabaseError


@contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise TimeoutError(
                errno.ETIMEDOUT, f"another process has been busy with it for {BUSY:g} seconds"
            ) from error
        raise OSError(errno.EIO, f"{error} ({path})") from error
