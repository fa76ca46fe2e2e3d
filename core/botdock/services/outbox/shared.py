"""The index of an outbox, kept in step with its folder, which threads and processes share."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botdock._locks import locked
from botdock._whole_files import sync_folder
from botdock.services.outbox.index import FAILED, ITEMS, Index
from botdock.services.outbox.item import SUFFIX, Item
from botdock.services.outbox.records import read_drops, write_drops

DATA = "data"
LOCK_TIMEOUT = 10.0
"""Seconds; nobody holds a lock for longer than a few writes to the disk take."""
LOCK = "changing"
"""Is locked for each change; and holds a mark, new with each, by which every process sees that its index is old."""
_MARK_BYTES = 16


class SharedIndex:
    """Gives the index to one at a time, as the folder is now; the folder is read anew only after others changed it.

    Args:
        folder: Of the outbox; it is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = Index()
        self._mark: bytes | None = None

    @contextmanager
    def look(self) -> Iterator[Index]:
        """Give the index to somebody who changes nothing.

        Raises:
            TimeoutError: Somebody else has held it for too long.
        """
        with locked(self._folder / LOCK, timeout=LOCK_TIMEOUT):
            mark = (self._folder / LOCK).read_bytes()
            if mark != self._mark:
                self._index.refresh(self._folder)
                self._finish_drops()
                self._mark = mark
            yield self._index

    @contextmanager
    def change(self) -> Iterator[Index]:
        """Give the index to somebody who changes the folder; should anything go wrong, it is read anew.

        Raises:
            TimeoutError: Somebody else has held it for too long.
        """
        with self.look() as index:
            mark, self._mark = secrets.token_hex(_MARK_BYTES // 2).encode(), None
            self._write_mark(mark)
            yield index
            self._mark = mark

    def remove(self, items: list[Item]) -> None:
        """Remove items: the names first, for bytes without a name are rubbish, a name without bytes would be a loss."""
        failed = self._index.failed
        for folder in {FAILED if item.name in failed else ITEMS for item in items}:
            for item in items:
                (self._folder / folder / (item.name + SUFFIX)).unlink(missing_ok=True)
            sync_folder(self._folder / folder)
        for item in items:
            (self._folder / DATA / item.data).unlink(missing_ok=True)
            self._index.discard(item)

    def drop(self, items: list[Item]) -> None:
        """Give items up: counted first, by name, so that what a crash leaves of them is known and removed later."""
        if items:
            write_drops(self._folder, read_drops(self._folder).plus(items))
            self.remove(items)

    def note_arrival(self, item: Item) -> None:
        """Count an item as dropped no longer, if it was: the storage has it."""
        drops = read_drops(self._folder)
        if item.name in drops.last:
            write_drops(self._folder, drops.minus(item))

    def _finish_drops(self) -> None:
        known = self._index.waiting | self._index.failed
        self.remove([known[name] for name in read_drops(self._folder).last if name in known])

    def _write_mark(self, mark: bytes) -> None:
        descriptor = os.open(self._folder / LOCK, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, mark, 0)
        finally:
            os.close(descriptor)
