"""The folder of an outbox, shared by threads and processes: messages come, wait, and go, each in one transaction.

queue.sqlite   what waits and in which order, what was given up, how much was dropped, and why a delivery failed
data/<token>   the bytes of a message: there before its row is, and removed after it
delivering     locked by the process that delivers
writing        locked, shared, by processes that add bytes; exclusively, by the one that removes abandoned bytes
retry          made by hand: what was given up waits again, and what was dropped is forgotten
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from sqlite3 import Connection

import attrs

from botdock._database import Database
from botdock._locks import locked, locked_at_once
from botdock._whole_files import keep, make_private
from botdock.errors import StorageError
from botdock.model import ByteReader, OutboxStatus, StorageArea

DATA = "data"
QUEUE = "queue.sqlite"
LOCK_TIMEOUT = 10.0
"""Seconds; a lock is held for as long as a few writes to the disk take."""
REMEMBERED = 100
"""Dropped messages whose rows stay: mostly more than are dropped while one of them is being delivered."""

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


_COLUMNS = ("number", "token", "area", "key", "execution_id", "latest", "size", "created", "refusals", "error")


@attrs.frozen(kw_only=True)
class Message:
    """An object for a storage, and what the queue knows of it.

    Attributes:
        area: Where it goes.
        key: Its key there.
        execution_id: The execution that it is of; later ones sort higher.
        latest: Whether the key stands for the latest execution's object, so that an older one must not replace it.
        number: Its place in the queue; never used twice. 0 before it is there.
        token: Name of the file that holds its bytes.
        size: Bytes.
        created: When it came, seconds since the epoch.
        refusals: How often the storage answered, and refused it.
        error: Why, the last time.
    """

    area: StorageArea = attrs.field(converter=StorageArea)
    key: str
    execution_id: str
    latest: bool = attrs.field(default=False, converter=bool)
    number: int = 0
    token: str = ""
    size: int = 0
    created: float = 0.0
    refusals: int = 0
    error: str = ""


class MessageQueue:
    """Messages on disk, bounded; safe to use from several threads, and by several processes at once.

    Args:
        folder: Made with the first message.
        max_bytes: Bytes of all messages.
        max_items: How many messages.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_items: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_items = max_items
        self._file = Database(folder / QUEUE, _SCHEMA, durable=True)

    def add(self, message: Message, source: ByteReader | Path | bytes) -> tuple[int, list[Message]]:
        """Take in an object, and return its bytes and the messages that were dropped for it.

        From the return on, it survives the end of this process. It replaces a message that waits for the
        same key, unless it is of an older execution.

        Raises:
            OSError: The disk did not take it, or another process held a lock for too long; nothing of it is left.
            StorageError: It does not fit in.
        """
        make_private(self.folder / DATA)
        self.folder.chmod(0o700)  # what bots return is the user's alone
        token = secrets.token_hex(16)
        path = self.folder / DATA / token
        with locked(self.folder / "writing", timeout=LOCK_TIMEOUT, shared=True):
            size = keep(source, path, limit=self._max_bytes)
            try:
                dropped, replaced = self._admit(message, token, size)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            self._unlink([*dropped, *replaced])
        return size, dropped

    def waiting(self) -> list[Message]:
        """Return what waits, in order."""
        if not self.exists():
            return []
        with self._file.transaction(write=False) as queue:
            return _select(queue, "state = 'waiting' ORDER BY number")

    def open(self, message: Message) -> BufferedReader | None:
        """Open the bytes of a message; None when it waits no longer.

        Raises:
            StorageError: It waits, and its bytes are gone.
        """
        try:
            return (self.folder / DATA / message.token).open("rb")
        except FileNotFoundError:
            if message.number not in {known.number for known in self.waiting()}:
                return None
            raise StorageError(f"the bytes of {message.key!r} are gone from {self.folder}") from None

    def remove(self, message: Message) -> None:
        """Forget a message that was delivered; and that the storage was away."""
        with self._file.transaction() as queue:
            _note_error(queue, "")
            deleted = queue.execute("DELETE FROM item WHERE number = ? RETURNING state", (message.number,)).fetchall()
            if ("dropped",) in deleted:  # during its delivery, and it has arrived
                _count_drops(queue, -1, -message.size)
        self._unlink([message])

    def refuse(self, message: Message, error: str) -> Message:
        """Note that the storage answered, and refused a message; return it as it is now."""
        with self._file.transaction() as queue:
            _note_error(queue, "")
            change = "UPDATE item SET refusals = refusals + 1, error = ? WHERE number = ? AND state = 'waiting'"
            queue.execute(change, (_storable(error), message.number))
            known = _select(queue, "number = ? AND state = 'waiting'", message.number)
        return known[0] if known else attrs.evolve(message, refusals=message.refusals + 1, error=error)

    def fail(self, message: Message) -> None:
        """Give a message up, but keep it."""
        with self._file.transaction() as queue:
            queue.execute("UPDATE item SET state = 'failed' WHERE number = ? AND state = 'waiting'", (message.number,))

    def delivering(self) -> AbstractContextManager[bool]:
        """Be the process that delivers, if no other one is; say whether that is so."""
        return locked_at_once(self.folder / "delivering")

    def sweep(self) -> None:
        """Remove what processes left here that died, unless one is writing just now; do what `retry` asks for."""
        with locked_at_once(self.folder / "writing") as alone:
            if alone:
                with self._file.transaction(write=False) as queue:
                    known = {message.token for message in _select(queue, "state != 'dropped'")}
                if not self._file.damaged.exists():  # else there may be more names in that one
                    for path in (self.folder / DATA).iterdir():
                        if path.name not in known:
                            path.unlink(missing_ok=True)
        if (self.folder / "retry").exists():
            with self._file.transaction() as queue:
                queue.execute("UPDATE item SET state = 'waiting', refusals = 0 WHERE state = 'failed'")
                queue.execute("UPDATE note SET dropped_items = 0, dropped_bytes = 0")
            (self.folder / "retry").unlink(missing_ok=True)

    def exists(self) -> bool:
        """Whether anything was ever put here."""
        return self._file.exists()

    def away(self) -> str:
        """Return why the storage did not answer the last time, to whichever process; empty when it did."""
        if not self.exists():
            return ""
        with self._file.transaction(write=False) as queue:
            return str(queue.execute("SELECT error FROM note").fetchone()[0])

    def note_error(self, error: str) -> None:
        """Remember why the storage did not answer.

        Raises:
            OSError: The disk did not take it, or another process held the file for too long.
        """
        if self.exists():
            with self._file.transaction() as queue:
                _note_error(queue, error)

    def _admit(self, message: Message, token: str, size: int) -> tuple[list[Message], list[Message]]:
        """Let a message wait; return what was dropped for it, and what it replaces."""
        with self._file.transaction() as queue:
            same = "state = 'waiting' AND area = ? AND key = ?"
            before = _select(queue, same, message.area, message.key)
            if before and before[0].execution_id > message.execution_id:
                return [], [attrs.evolve(message, token=token)]
            queue.executemany("DELETE FROM item WHERE number = ?", [(known.number,) for known in before])
            dropped = self._make_room(queue, message, size)
            row = (token, message.area, message.key, message.execution_id, message.latest, size, time.time())
            columns = "token, area, key, execution_id, latest, size, created"
            queue.execute(f"INSERT INTO item ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - no input
        return dropped, before

    def _make_room(self, queue: Connection, message: Message, size: int) -> list[Message]:
        """Drop what must go so that `message` fits in, and return it.

        What failed goes first, then logs, then, for a result only, results; of each the oldest first.
        """
        held = "SELECT coalesce(sum(size), 0), count(*) FROM item WHERE state != 'dropped'"
        held_bytes, held_items = queue.execute(held).fetchone()
        bytes_over, items_over = held_bytes + size - self._max_bytes, held_items + 1 - self._max_items
        dispensable = "state = 'failed' OR state = 'waiting' AND area IN (?, ?)"
        order = "ORDER BY state, state = 'waiting' AND area = ?, number"
        areas = (StorageArea.LOGS, message.area, StorageArea.RESULTS)
        candidates = iter(_select(queue, f"{dispensable} {order}", *areas) if max(bytes_over, items_over) > 0 else [])
        dropped: list[Message] = []
        while bytes_over > 0 or items_over > 0:
            if (candidate := next(candidates, None)) is None:
                raise StorageError(
                    f"{message.key!r} cannot wait for the storage: the outbox is full of what is worth more",
                    key=message.key,
                    hint="Bring the storage back, or let more wait: outbox.max_bytes and outbox.max_items.",
                )
            dropped.append(candidate)
            bytes_over, items_over = bytes_over - candidate.size, items_over - 1
        _drop(queue, dropped)
        return dropped

    def _unlink(self, messages: Iterable[Message]) -> None:
        for message in messages:
            (self.folder / DATA / message.token).unlink(missing_ok=True)


def _select(queue: Connection, condition: str, *parameters: object) -> list[Message]:
    rows = queue.execute(f"SELECT {', '.join(_COLUMNS)} FROM item WHERE {condition}", parameters)  # noqa: S608 - from this module alone
    return [Message(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _drop(queue: Connection, messages: list[Message]) -> None:
    """Give messages up, and count them; the last ones' rows stay: one that is being delivered may arrive."""
    if messages:
        numbers = [(message.number,) for message in messages]
        queue.executemany("UPDATE item SET state = 'dropped' WHERE number = ?", numbers)
        _count_drops(queue, len(messages), sum(message.size for message in messages))
        old = "SELECT number FROM item WHERE state = 'dropped' ORDER BY number DESC LIMIT -1 OFFSET ?"
        queue.execute(f"DELETE FROM item WHERE number IN ({old})", (max(REMEMBERED, len(messages)),))  # noqa: S608 - no input


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
        waiting, failed = _select(queue, "state = 'waiting' ORDER BY number"), _select(queue, "state = 'failed'")
        dropped_items, dropped_bytes, error = queue.execute("SELECT * FROM note").fetchone()
    return OutboxStatus(
        items=len(waiting),
        bytes=sum(message.size for message in waiting),
        oldest=datetime.fromtimestamp(min(message.created for message in waiting), UTC) if waiting else None,
        failed_items=len(failed),
        dropped_items=dropped_items,
        dropped_bytes=dropped_bytes,
        last_error=error or next((message.error for message in (*waiting, *failed) if message.error), ""),
    )
