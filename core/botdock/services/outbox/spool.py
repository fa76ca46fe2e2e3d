"""The folder of an outbox, shared by threads and processes: items come, wait, and go, each in one transaction.

queue.sqlite   what waits and in which order, what was given up, how much was dropped, and why a delivery failed
data/<token>   the bytes of an item: there before its row is, and removed after it
delivering     locked by the process that delivers
writing        locked, shared, by those that bring bytes; alone, by the one that looks for abandoned ones
retry          made by hand: what was given up waits again, and what was dropped is forgotten
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from sqlite3 import Connection

import attrs

from botdock._database import Database
from botdock._locks import locked, locked_at_once
from botdock._ownership import make_private
from botdock._whole_files import keep
from botdock.errors import StorageError
from botdock.model import ByteReader, OutboxStatus, StorageArea
from botdock.services.outbox.item import COLUMNS, Item, Parcel

DATA = "data"
QUEUE = "queue.sqlite"
LOCK_TIMEOUT = 10.0
"""Seconds; a lock is held for as long as a few writes to the disk take."""
REMEMBERED = 100
"""Dropped items whose rows stay: more than are dropped while one of them is on its way, mostly."""

_SCHEMA = (
    (
        "CREATE TABLE item (number INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, area TEXT NOT NULL, "
        "key TEXT NOT NULL, execution_id TEXT NOT NULL, latest INTEGER NOT NULL, size INTEGER NOT NULL, "
        "created REAL NOT NULL, refusals INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', "
        "state TEXT NOT NULL DEFAULT 'waiting') STRICT"  # or 'failed', or 'dropped'
    ),
    "CREATE INDEX by_state ON item (state, area, key)",
    "CREATE TABLE note (dropped_items INTEGER NOT NULL, dropped_bytes INTEGER NOT NULL, error TEXT NOT NULL) STRICT",
    "INSERT INTO note VALUES (0, 0, '')",
)


@attrs.frozen(kw_only=True)
class Added:
    """What came of an addition.

    Attributes:
        size: Bytes of the item.
        dropped: What had to go for it.
    """

    size: int
    dropped: list[Item] = attrs.field(factory=list)


class Spool:
    """Items on disk, bounded; safe to use from several threads, and by several processes at once.

    Args:
        folder: Made with the first item.
        max_bytes: Bytes of all items.
        max_items: How many items.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_items: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_items = max_items
        self._queue = Database(folder / QUEUE, _SCHEMA, durable=True)

    def add(self, parcel: Parcel, source: ByteReader | Path | bytes) -> Added:
        """Take in an object; from the return on, it survives whatever becomes of this process.

        An object for a key that one already waits for replaces it, unless it is of an older execution.

        Raises:
            OSError: The disk did not take it, or another process held a lock for too long; nothing of it is left.
            StorageError: It does not fit in.
        """
        make_private(self.folder)
        (self.folder / DATA).mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)  # results are the user's own business
        self._queue.hold()
        token = secrets.token_hex(16)
        path = self.folder / DATA / token
        with locked(self.folder / "writing", timeout=LOCK_TIMEOUT, shared=True):
            size = keep(source, path, limit=self._max_bytes)
            try:
                dropped, gone = self._admit(parcel, token, size)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            self._unlink(gone)
        return Added(size=size, dropped=dropped)

    def waiting(self) -> list[Item]:
        """Return what waits, in order."""
        if not self.exists():
            return []
        with self._queue.transaction(write=False) as queue:
            return _items(queue, "state = 'waiting' ORDER BY number")

    def open(self, item: Item) -> BufferedReader | None:
        """Open the bytes of an item; None when it waits no longer.

        Raises:
            StorageError: It waits, and its bytes are gone.
        """
        try:
            return (self.folder / DATA / item.data).open("rb")
        except FileNotFoundError:
            if item.number not in {one.number for one in self.waiting()}:
                return None
            raise StorageError(f"the bytes of {item.parcel.key!r} are gone from {self.folder}") from None

    def remove(self, item: Item) -> None:
        """Forget an item that was delivered; and that the storage was away."""
        with self._queue.transaction() as queue:
            _note_error(queue, "")
            deleted = queue.execute("DELETE FROM item WHERE number = ? RETURNING state", (item.number,)).fetchall()
            if ("dropped",) in deleted:  # while it was on its way, and it has arrived
                _count_drops(queue, -1, -item.size)
        self._unlink([item.data])

    def refuse(self, item: Item, error: str) -> Item:
        """Note that the storage answered, and refused an item; return it as it is now."""
        with self._queue.transaction() as queue:
            _note_error(queue, "")
            change = "UPDATE item SET refusals = refusals + 1, error = ? WHERE number = ? AND state = 'waiting'"
            queue.execute(change, (_storable(error), item.number))
            known = _items(queue, "number = ? AND state = 'waiting'", item.number)
        return known[0] if known else attrs.evolve(item, refusals=item.refusals + 1, error=error)

    def fail(self, item: Item) -> None:
        """Give an item up, but keep it."""
        with self._queue.transaction() as queue:
            queue.execute("UPDATE item SET state = 'failed' WHERE number = ? AND state = 'waiting'", (item.number,))

    def delivering(self) -> AbstractContextManager[bool]:
        """Be the one who delivers, if no other process is; say whether that is so."""
        return locked_at_once(self.folder / "delivering")

    def sweep(self) -> None:
        """Remove what processes left here that died, unless one is writing just now; do what `retry` asks for."""
        with locked_at_once(self.folder / "writing") as alone:
            if alone:
                self._sweep()
        if (self.folder / "retry").exists():
            with self._queue.transaction() as queue:
                queue.execute("UPDATE item SET state = 'waiting', refusals = 0 WHERE state = 'failed'")
                queue.execute("UPDATE note SET dropped_items = 0, dropped_bytes = 0")
            (self.folder / "retry").unlink(missing_ok=True)

    def exists(self) -> bool:
        """Whether anything was ever put here."""
        return self._queue.exists()

    def away(self) -> str:
        """Return why the storage did not answer the last time, to whichever process; empty when it did."""
        if not self.exists():
            return ""
        with self._queue.transaction(write=False) as queue:
            return str(queue.execute("SELECT error FROM note").fetchone()[0])

    def note_error(self, error: str) -> None:
        """Remember why the storage did not answer.

        Raises:
            OSError: The disk did not take it, or another process held the file for too long.
        """
        if self.exists():
            with self._queue.transaction() as queue:
                _note_error(queue, error)

    def close(self) -> None:
        """Let go of the queue."""
        self._queue.close()

    def _admit(self, parcel: Parcel, token: str, size: int) -> tuple[list[Item], list[str]]:
        """Let an item wait; return what was dropped for it, and the files that hold no item's bytes any more."""
        with self._queue.transaction() as queue:
            same = "state = 'waiting' AND area = ? AND key = ?"
            before = _items(queue, same, parcel.area, parcel.key)
            if before and before[0].parcel.execution_id > parcel.execution_id:
                return [], [token]
            victims = self._victims(queue, parcel, size, [item.number for item in before])
            if victims is None:
                raise StorageError(
                    f"{parcel.key!r} cannot wait for the storage: the outbox is full of what is worth more",
                    key=parcel.key,
                    hint="Bring the storage back, or let more wait: outbox.max_bytes and outbox.max_items.",
                )
            _drop(queue, victims)
            queue.executemany("DELETE FROM item WHERE number = ?", [(item.number,) for item in before])
            row = (token, parcel.area, parcel.key, parcel.execution_id, parcel.latest, size, time.time())
            columns = "token, area, key, execution_id, latest, size, created"
            queue.execute(f"INSERT INTO item ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - no input
        return victims, [item.data for item in (*victims, *before)]

    def _victims(self, queue: Connection, parcel: Parcel, size: int, replaced: list[int]) -> list[Item] | None:
        """Return what must go so that `parcel` fits in; None when it does not, whatever goes.

        What failed goes first, then logs, then, for a result only, results; of each the oldest first.
        """
        there = [item for item in _items(queue, "state != 'dropped'") if item.number not in replaced]
        bytes_over = sum(item.size for item in there) + size - self._max_bytes
        items_over = len(there) + 1 - self._max_items
        chosen: list[Item] = []
        if bytes_over <= 0 and items_over <= 0:
            return chosen
        dispensable = "state = 'failed' OR state = 'waiting' AND area IN (?, ?)"
        order = "ORDER BY state, state = 'waiting' AND area = ?, number"
        areas = (StorageArea.LOGS, parcel.area, StorageArea.RESULTS)
        for candidate in _items(queue, f"{dispensable} {order}", *areas):
            if candidate.number not in replaced:
                chosen.append(candidate)
                bytes_over, items_over = bytes_over - candidate.size, items_over - 1
            if bytes_over <= 0 and items_over <= 0:
                return chosen
        return None

    def _sweep(self) -> None:
        with self._queue.transaction(write=False) as queue:
            known = {item.data for item in _items(queue, "state != 'dropped'")}
        if self._queue.damaged.exists():  # there may be more names in that one
            return
        self._unlink(path.name for path in (self.folder / DATA).iterdir() if path.name not in known)

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            (self.folder / DATA / name).unlink(missing_ok=True)


def _items(queue: Connection, condition: str, *parameters: object) -> list[Item]:
    rows = queue.execute(f"SELECT {COLUMNS} FROM item WHERE {condition}", parameters)  # noqa: S608 - from this module alone
    return [Item.of_row(row) for row in rows]


def _drop(queue: Connection, items: list[Item]) -> None:
    """Give items up, and count them; the last ones' rows stay, should one be on its way and arrive."""
    if items:
        queue.executemany("UPDATE item SET state = 'dropped' WHERE number = ?", [(item.number,) for item in items])
        _count_drops(queue, len(items), sum(item.size for item in items))
        old = "SELECT number FROM item WHERE state = 'dropped' ORDER BY number DESC LIMIT -1 OFFSET ?"
        queue.execute(f"DELETE FROM item WHERE number IN ({old})", (max(REMEMBERED, len(items)),))  # noqa: S608 - no input


def _count_drops(queue: Connection, items: int, size: int) -> None:
    queue.execute("UPDATE note SET dropped_items = dropped_items + ?, dropped_bytes = dropped_bytes + ?", (items, size))


def _note_error(queue: Connection, error: str) -> None:
    queue.execute("UPDATE note SET error = ? WHERE error != ?", (_storable(error), _storable(error)))


def _storable(text: str) -> str:
    """Return what SQLite takes of a storage's message, which may hold bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_status(folder: Path) -> OutboxStatus:
    """Return how things stand in an outbox, without changing anything."""
    file = Database(folder / QUEUE, _SCHEMA)
    if not file.exists():
        return OutboxStatus()
    with file.transaction(write=False) as queue:
        waiting, failed = _items(queue, "state = 'waiting' ORDER BY number"), _items(queue, "state = 'failed'")
        dropped_items, dropped_bytes, error = queue.execute("SELECT * FROM note").fetchone()
    return OutboxStatus(
        items=len(waiting),
        bytes=sum(item.size for item in waiting),
        oldest=min((item.created for item in waiting), default=None),
        failed_items=len(failed),
        dropped_items=dropped_items,
        dropped_bytes=dropped_bytes,
        last_error=error or next((item.error for item in (*waiting, *failed) if item.error), ""),
    )
