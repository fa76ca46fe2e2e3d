"""A storage in memory: for tests of what uses a storage, and the shortest example of one."""

from __future__ import annotations

import hashlib
import io
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageBackend, validate_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Reader(io.BytesIO):
    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryBackend(StorageBackend):
    """Keeps objects in a dictionary.

    Attributes:
        objects: The objects, by key.
        closed: Whether it was closed.

    Example:
        >>> backend = MemoryBackend()
        >>> backend.put("a", io.BytesIO(b"1")).size
        1
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.closed = False
        self._written: dict[str, datetime] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """The word for it in messages."""
        return "memory"

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object; see `StorageBackend.get`."""
        end = None if length is None else offset + length
        return _Reader(self._read(key)[offset:end])

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; see `StorageBackend.put`."""
        validate_key(key)
        data = b"".join(iter(lambda: source.read(64 * 1024), b""))
        if size is not None and len(data) != size:
            raise StorageError(
                f"{key!r}: {size} bytes were announced, {len(data)} came", key=key, backend=self.location
            )
        with self._lock:
            self.objects[key] = data
            self._written[key] = datetime.now(UTC)
        return self._describe(key, data)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects in the order of their keys; see `StorageBackend.list`."""
        with self._lock:
            found = sorted(item for item in self.objects.items() if item[0].startswith(prefix))
        for key, data in found:
            yield self._describe(key, data)

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete objects; see `StorageBackend.delete`."""
        for key in keys:
            try:
                validate_key(key)
            except StorageKeyError as error:
                yield DeleteFailure(key=key, reason=error.message)
            with self._lock:
                self.objects.pop(key, None)

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object; see `StorageBackend.stat`."""
        return self._describe(key, self._read(key))

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _read(self, key: str) -> bytes:
        try:
            return self.objects[validate_key(key)]
        except KeyError:
            raise ObjectNotFoundError(key, backend=self.location) from None

    def _describe(self, key: str, data: bytes) -> ObjectInfo:
        digest = hashlib.sha256(data).hexdigest()
        return ObjectInfo(key=key, size=len(data), etag=digest, modified=self._written.get(key, datetime.now(UTC)))
