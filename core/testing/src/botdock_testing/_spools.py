"""What tests of the outbox share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.model import StorageArea
from botdock.services.outbox import Item, Parcel

if TYPE_CHECKING:
    from botdock.services.outbox.spool import Spool


def log(key: str, execution: str = "01") -> Parcel:
    """Return a part of a log."""
    return Parcel(area=StorageArea.LOGS, key=key, execution_id=execution)


def result(key: str, execution: str = "01") -> Parcel:
    """Return a result."""
    return Parcel(area=StorageArea.RESULTS, key=key, execution_id=execution)


def waiting_keys(spool: Spool) -> list[str]:
    """Return the keys of what waits, in order."""
    return [item.parcel.key for item in spool.waiting()]


def read_item_bytes(spool: Spool, item: Item) -> bytes:
    """Return the bytes of an item that waits."""
    source = spool.open(item)
    assert source is not None
    with source:
        return source.read()


def spool_files(spool: Spool) -> list[str]:
    """Return the names of all files that hold the bytes of items, or something that is left of them."""
    folder = spool.folder / "data"
    return [path.name for path in folder.iterdir()] if folder.exists() else []
