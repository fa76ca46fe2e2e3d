"""The folder of an outbox, shared by threads and processes: items come, wait, and go, each in one step.

items/<number>-<token>.json   an item that waits; it does so from the moment at which this file is there
failed/<number>-<token>.json  one that was given up; moved back by hand, it waits again
data/<token>                  the bytes of either
dropped.json                  what was given up for want of room: counts, and the names that went last
error.json                    why the last delivery failed
delivering                    locked by whoever delivers
writing                       locked, shared, by whoever brings bytes; alone, by whoever looks for abandoned ones
changing                      locked for each change of the above; holds a mark that is new after each
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

import attrs

from botdock._locks import locked, locked_at_once
from botdock._ownership import make_private
from botdock._whole_files import keep, publish, sync_folder
from botdock.errors import StorageError
from botdock.model import ByteReader, OutboxStatus
from botdock.services.outbox.index import FAILED, ITEMS, Index
from botdock.services.outbox.item import SUFFIX, Item, Parcel
from botdock.services.outbox.records import read_drops, read_error, write_error
from botdock.services.outbox.shared import DATA, LOCK, LOCK_TIMEOUT, SharedIndex


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
        self._shared = SharedIndex(folder)

    def add(self, parcel: Parcel, source: ByteReader | Path | bytes) -> Added:
        """Take in an object; from the return on, it survives whatever becomes of this process.

        An object for a key that one already waits for replaces it, unless it is of an older execution.

        Raises:
            OSError: The disk did not take it, or somebody held a lock for too long; nothing of it is left.
            StorageError: It does not fit in.
        """
        self._make_folders()
        token = secrets.token_hex(16)
        path = self.folder / DATA / token
        with locked(self.folder / "writing", timeout=LOCK_TIMEOUT, shared=True):
            size = keep(source, path, limit=self._max_bytes)
            try:
                return self._admit(parcel, token, size)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def waiting(self) -> list[Item]:
        """Return what waits, in order."""
        if not self.exists():
            return []
        with self._shared.look() as index:
            return list(index.waiting.values())

    def open(self, item: Item) -> BufferedReader | None:
        """Open the bytes of an item; None when it waits no longer.

        Raises:
            StorageError: It waits, and its bytes are gone.
        """
        try:
            return (self.folder / DATA / item.data).open("rb")
        except FileNotFoundError:
            if not self._manifest(item).exists():
                return None
            raise StorageError(f"the bytes of {item.parcel.key!r} are gone from {self.folder}") from None

    def remove(self, item: Item) -> None:
        """Forget an item that was delivered."""
        with self._shared.change() as index:
            if item.name not in index.waiting:  # what is newer, or worth more, took its place while it was on its way
                self._shared.note_arrival(item)
            self._shared.remove([item])

    def refuse(self, item: Item, error: str) -> Item:
        """Note that the storage refused an item, and return it as it is now."""
        with self._shared.change() as index:
            known = index.waiting.get(item.name, item)
            refused = attrs.evolve(known, refusals=known.refusals + 1, error=error)
            if item.name in index.waiting:
                publish(self._manifest(item), refused.to_json())
                index.add(refused)
            return refused

    def fail(self, item: Item) -> None:
        """Give an item up, but keep it."""
        with self._shared.change() as index:
            if item.name in index.waiting:
                self._manifest(item).rename(self.folder / FAILED / (item.name + SUFFIX))
                sync_folder(self.folder / FAILED)
                index.give_up(item)

    def delivering(self) -> AbstractContextManager[bool]:
        """Be the one who delivers, if nobody else is; say whether that is so."""
        return locked_at_once(self.folder / "delivering")

    def sweep(self) -> None:
        """Remove what processes left here that died, unless somebody is writing just now."""
        with locked_at_once(self.folder / "writing") as alone:
            if alone:
                self._sweep()

    def exists(self) -> bool:
        """Whether anything was ever put here."""
        return (self.folder / ITEMS).is_dir()

    def away(self) -> str:
        """Return why the storage did not answer the last time, to whichever process; empty when it did."""
        return read_error(self.folder)

    def note_error(self, error: str) -> None:
        """Remember why the storage did not answer, or, by an empty text, that it did.

        Raises:
            OSError: The disk did not take it, or somebody held the lock for too long.
        """
        with locked(
            self.folder / LOCK, timeout=LOCK_TIMEOUT
        ):  # a process that closes says so beside the one that delivers
            write_error(self.folder, error)

    def _make_folders(self) -> None:
        make_private(self.folder)
        for name in (FAILED, DATA, ITEMS):  # the one that says that all are there comes last
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)  # results are nobody else's business

    def _manifest(self, item: Item) -> Path:
        return self.folder / ITEMS / (item.name + SUFFIX)

    def _admit(self, parcel: Parcel, token: str, size: int) -> Added:
        with self._shared.change() as index:
            number, now = index.next_number(), datetime.now(UTC)
            item = Item(name=f"{number:020d}-{token}", parcel=parcel, size=size, created=now)
            before = index.same_key(parcel)
            if before and before.parcel.execution_id > parcel.execution_id:
                (self.folder / DATA / token).unlink()
                return Added(size=size)
            victims = index.victims(item, max_bytes=self._max_bytes, max_items=self._max_items)
            if victims is None:
                raise StorageError(
                    f"{parcel.key!r} cannot wait for the storage: the outbox is full of what is worth more",
                    key=parcel.key,
                    hint="Bring the storage back, or let more wait: outbox.max_bytes and outbox.max_items.",
                )
            self._shared.drop(victims)
            self._publish(item)
            index.add(item)
            if before:
                self._shared.remove([before])
        return Added(size=size, dropped=victims)

    def _publish(self, item: Item) -> None:
        try:
            publish(self._manifest(item), item.to_json())
        except BaseException:
            with suppress(OSError):
                self._manifest(item).unlink(missing_ok=True)
            raise

    def _sweep(self) -> None:
        with self._shared.look() as index:
            known = {item.data for item in (*index.waiting.values(), *index.failed.values())}
            rubbish = [path for path in (self.folder / DATA).iterdir() if path.name not in known]
            rubbish += (self.folder / ITEMS).glob("*.tmp")
            for path in rubbish:
                path.unlink(missing_ok=True)


def read_status(folder: Path) -> OutboxStatus:
    """Return how things stand in an outbox, without waiting for anybody or changing anything."""
    index = Index()
    index.refresh(folder)
    drops = read_drops(folder)
    gone = {*index.failed, *drops.last}  # meanwhile: an item is where it comes to
    waiting, failed = [item for name, item in index.waiting.items() if name not in gone], list(index.failed.values())
    return OutboxStatus(
        items=len(waiting),
        bytes=sum(item.size for item in waiting),
        oldest=min((item.created for item in waiting), default=None),
        failed_items=len(failed),
        dropped_items=drops.items,
        dropped_bytes=drops.bytes,
        last_error=read_error(folder) or next((item.error for item in (*waiting, *failed) if item.error), ""),
    )
