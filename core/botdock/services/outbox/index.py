"""What the folder of an outbox holds, in memory; and what goes first when it holds too much."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import attrs

from botdock.model import StorageArea
from botdock.services.outbox.item import NAME, SUFFIX, Item, Parcel, read_item

ITEMS = "items"
FAILED = "failed"


@attrs.define
class Index:
    """The items of an outbox, by name and in order.

    Attributes:
        waiting: Those that are to be delivered.
        failed: Those that were given up.
        size: Bytes of both.
    """

    waiting: dict[str, Item] = attrs.field(factory=dict)
    failed: dict[str, Item] = attrs.field(factory=dict)
    size: int = 0
    _keys: dict[tuple[StorageArea, str], Item] = attrs.field(factory=dict)

    def refresh(self, folder: Path) -> None:
        """Bring it up to date with the folder; only what is new is read."""
        for name in ITEMS, FAILED:
            self._refresh(self.waiting if name == ITEMS else self.failed, folder / name)

    def _refresh(self, known: dict[str, Item], folder: Path) -> None:
        there = {path.stem for path in folder.glob(f"*{SUFFIX}") if NAME.fullmatch(path.stem)}
        for name in known.keys() - there:
            self._remove(known, known[name])
        for name in sorted(there - known.keys()):
            if item := read_item(folder, name):
                self._add(known, item)

    def add(self, item: Item) -> None:
        """Take in an item that waits, the last in order; or another version of one that does."""
        self._add(self.waiting, item)

    def _add(self, known: dict[str, Item], item: Item) -> None:
        before = known.get(item.name)
        known[item.name] = item
        self.size += item.size - (before.size if before else 0)
        if known is self.waiting:
            self._keys[item.parcel.area, item.parcel.key] = item

    def give_up(self, item: Item) -> None:
        """Let an item that waited be among those that failed."""
        self.discard(item)
        self._add(self.failed, item)

    def discard(self, item: Item) -> None:
        """Forget an item."""
        for known in (self.waiting, self.failed):
            if item.name in known:
                self._remove(known, item)

    def _remove(self, known: dict[str, Item], item: Item) -> None:
        del known[item.name]
        self.size -= item.size
        key = (item.parcel.area, item.parcel.key)
        if known is self.waiting and self._keys[key].name == item.name:
            del self._keys[key]

    def same_key(self, parcel: Parcel) -> Item | None:
        """Return the item that waits for the same key, if one does."""
        return self._keys.get((parcel.area, parcel.key))

    def next_number(self) -> int:
        """Return a number above all that are taken, whatever the clock says."""
        last = next(reversed(self.waiting.values()), None)
        return max(time.time_ns(), last.number + 1 if last else 0)

    def victims(self, item: Item, *, max_bytes: int, max_items: int) -> list[Item] | None:
        """Return what must go so that `item` fits in; None when it does not, whatever goes.

        What failed goes first, then logs, then, for a result only, results; of each the oldest first.
        """
        replaced = self.same_key(item.parcel)
        bytes_over = self.size + item.size - (replaced.size if replaced else 0) - max_bytes
        items_over = len(self.waiting) + len(self.failed) + (replaced is None) - max_items
        chosen: list[Item] = []
        for candidate in self._dispensable(item):
            if bytes_over <= 0 and items_over <= 0:
                break
            if candidate is not replaced:
                chosen.append(candidate)
                bytes_over -= candidate.size
                items_over -= 1
        return chosen if bytes_over <= 0 and items_over <= 0 else None

    def _dispensable(self, item: Item) -> Iterable[Item]:
        yield from sorted(self.failed.values(), key=lambda one: one.name)
        for area in (StorageArea.LOGS, StorageArea.RESULTS):
            yield from [one for one in self.waiting.values() if one.parcel.area is area]
            if item.parcel.area is area:
                return
