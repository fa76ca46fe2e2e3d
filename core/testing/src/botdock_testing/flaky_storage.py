"""A storage that can be away, or refuse: for tests of what must cope with that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.errors import StorageKeyError, StorageUnavailableError
from botdock_testing.memory_storage import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.model import ByteReader, ObjectInfo


class FlakyBackend(MemoryBackend):
    """A `MemoryBackend` that fails as it is told to.

    Attributes:
        away: Whether it answers nothing.
        error: What it raises for every put.
        refused: Keys that it takes no object for.
        puts: Keys of the objects that it took, in order.
        attempts: Keys of all objects that it was given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.error: Exception | None = None
        self.refused: set[str] = set()
        self.puts: list[str] = []
        self.attempts: list[str] = []

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Take an object, or fail."""
        self.attempts.append(key)
        self._answer()
        if self.error is not None:
            raise self.error
        if key in self.refused:
            raise StorageKeyError(key, "is refused")
        info = super().put(key, source, size=size)
        self.puts.append(key)
        return info

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List objects, or fail."""
        self._answer()
        return super().list(prefix)

    def _answer(self) -> None:
        if self.away:
            raise StorageUnavailableError("it does not answer", backend=self.location)
