"""Refuses keys that would be hidden, or that would hide others.

A MinIO stores `a/b` beside an object `a`, and gives it back; but it lists neither it nor anything else below `a`, so
that it would never be found or deleted. As in a folder, `a` and `a/b` cannot both be objects here, on any server.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from minio.error import S3Error

from botdock.errors import StorageKeyError

if TYPE_CHECKING:
    from botdock_storage_minio.client import Client
    from botdock_storage_minio.settings import Location

KNOWN_FOR = 30.0
"""Seconds for which the absence of an object of a folder's name is believed; many keys share their folders."""
_MOST_KNOWN = 4096


class Nesting:
    """Looks above and below a key before it is written.

    Of two writers that use `a` and `a/b` for the first time at the same instant, both may pass.
    """

    def __init__(self, client: Client, location: Location) -> None:
        self._client = client
        self._location = location
        self._free: dict[str, float] = {}

    def check(self, key: str) -> None:
        """Look whether an object is above or below `key`.

        Raises:
            StorageKeyError: One is.
        """
        self._free.pop(key, None)
        segments = key.split("/")
        for above in ("/".join(segments[:depth]) for depth in range(1, len(segments))):
            if time.monotonic() - self._free.get(above, -KNOWN_FOR) < KNOWN_FOR:
                continue
            if self._exists(above):
                raise StorageKeyError(key, f"the object {above!r} is in the way: it is above this one")
            if len(self._free) >= _MOST_KNOWN:
                self._free.clear()
            self._free[above] = time.monotonic()
        prefix = f"{self._location.name_of(key)}/"
        found, _ = self._client.page(prefix, limit=2)
        # The console's mark for an empty folder has the prefix itself as its name, and blocks no key.
        for name in (one.key for one in found if one.key != prefix):
            below = name.removeprefix(self._location.prefix)
            raise StorageKeyError(key, f"the object {below!r} is in the way: it is below this one")

    def _exists(self, key: str) -> bool:
        try:
            self._client.head(self._location.name_of(key))
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchBucket"}:
                return False
            raise
        return True
