"""What an outbox remembers beside its items: what it had to drop, and why it could not deliver."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import attrs

from botdock._whole_files import publish
from botdock.services.outbox.item import Item

_DROPS = "dropped.json"
_ERROR = "error.json"
_REMEMBERED = 100
"""Names of dropped items that are kept: more than are dropped while one of them is on its way, mostly."""


@attrs.frozen(kw_only=True)
class Drops:
    """What was dropped, ever.

    Attributes:
        items: How many items.
        bytes: Their bytes.
        last: Names of those that were dropped last, the newest first; one that is still there is to go.
    """

    items: int = 0
    bytes: int = 0
    last: tuple[str, ...] = ()

    def plus(self, items: Collection[Item]) -> Self:
        """Return what it is with `items`."""
        return attrs.evolve(
            self,
            items=self.items + len(items),
            bytes=self.bytes + sum(item.size for item in items),
            last=(*(item.name for item in items), *self.last)[: max(len(items), _REMEMBERED)],
        )

    def minus(self, item: Item) -> Self:
        """Return what it is without an item that was on its way when it was dropped, and has arrived."""
        last = tuple(name for name in self.last if name != item.name)
        return attrs.evolve(self, items=self.items - 1, bytes=self.bytes - item.size, last=last)


def read_drops(folder: Path) -> Drops:
    """Read what was dropped; nothing, where nothing can be read."""
    document = _read(folder / _DROPS)
    try:
        return Drops(items=int(document["items"]), bytes=int(document["bytes"]), last=tuple(map(str, document["last"])))
    except (KeyError, TypeError, ValueError):
        return Drops()


def write_drops(folder: Path, drops: Drops) -> None:
    """Write what was dropped."""
    publish(folder / _DROPS, json.dumps(attrs.asdict(drops)).encode())


def read_error(folder: Path) -> str:
    """Read why the last delivery failed; empty when it did not."""
    return str(_read(folder / _ERROR).get("error", ""))


def write_error(folder: Path, error: str) -> None:
    """Write why the last delivery failed; an empty text says that it did not."""
    if error and error != read_error(folder):
        publish(folder / _ERROR, json.dumps({"error": error}).encode())
    elif not error:
        (folder / _ERROR).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
