"""Refuses keys that would be hidden, or that would hide others.

A MinIO stores `a/b` beside an object `a`, and gives it back; but it lists neither it nor anything else below `a`, so
that nobody would ever find or delete it. As in a folder, `a` and `a/b` cannot both be objects here, on any server.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdock.errors import StorageKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_minio.client import Client
    from botdock_storage_minio.settings import Place

KNOWN_FOR = 30.0
"""Seconds for which it is believed that there is no object of a folder's name; many keys share their folders."""
_MOST_KNOWN = 4096


class Nesting:
    """Looks above and below a key before it is written.

    Of two writers that use `a` and `a/b` for the first time at the same instant, both may pass.
    """

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._free: dict[str, float] = {}

    def check(self, key: str) -> None:
        """Look whether an object is above or below `key`.

        Raises:
            StorageKeyError: One is.
        """
        self._free.pop(key, None)
        for above in _above(key):
            if not self._is_known(above):
                if self._client.exists(self._place.name_of(above)):
                    raise StorageKeyError(key, f"the object {above!r} is in the way: it is above this one")
                self._remember(above)
        if below := self._below(key):
            raise StorageKeyError(key, f"the object {below!r} is in the way: it is below this one")

    def _is_known(self, key: str) -> bool:
        return time.monotonic() - self._free.get(key, -KNOWN_FOR) < KNOWN_FOR

    def _remember(self, key: str) -> None:
        if len(self._free) >= _MOST_KNOWN:
            self._free.clear()
        self._free[key] = time.monotonic()

    def _below(self, key: str) -> str | None:
        prefix = f"{self._place.name_of(key)}/"
        found, _ = self._client.page(prefix, limit=2)
        # The console's mark for an empty folder has the prefix itself as its name, and is in nobody's way.
        names = (one.object_name or "" for one in found)
        return next((name.removeprefix(self._place.prefix) for name in names if name != prefix), None)


def _above(key: str) -> Iterator[str]:
    segments = key.split("/")
    for depth in range(1, len(segments)):
        yield "/".join(segments[:depth])
