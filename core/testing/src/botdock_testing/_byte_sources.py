"""Bytes in and out of a storage, with sources that misbehave as sources do."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from botdock.model import ObjectInfo, StorageBackend


def put_bytes(backend: StorageBackend, key: str, data: bytes = b"x") -> ObjectInfo:
    """Write an object."""
    return backend.put(key, io.BytesIO(data))


def read_bytes(backend: StorageBackend, key: str, offset: int = 0, length: int | None = None) -> bytes:
    """Return an object, or a part of it, read in small pieces."""
    with backend.get(key, offset=offset, length=length) as reader:
        return b"".join(iter(lambda: reader.read(1000), b""))


def listed(backend: StorageBackend, prefix: str = "") -> list[str]:
    """Return the keys below a prefix."""
    return [info.key for info in backend.list(prefix)]


class BrokenSourceError(Exception):
    """What `DyingSource` raises; no storage knows it, so none may swallow it."""


@attrs.define
class DyingSource:
    """Gives `data`, and then raises instead of ending: a writer that dies half way."""

    data: bytes

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes.

        Raises:
            BrokenSourceError: When all was given.
        """
        if not self.data:
            raise BrokenSourceError
        size = len(self.data) if size < 0 else size
        piece, self.data = self.data[:size], self.data[size:]
        return piece


@attrs.define
class DribblingSource:
    """Gives a few bytes at a time, as a network does, however many are asked for."""

    data: bytes
    step: int = 3

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `step` bytes."""
        size = self.step if size < 0 else min(size, self.step)
        piece, self.data = self.data[:size], self.data[size:]
        return piece


@attrs.define
class LongSource:
    """Gives `left` zero bytes without ever holding them."""

    left: int

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, 64 KiB for a negative one."""
        size = min(self.left, 64 * 1024 if size < 0 else size)
        self.left -= size
        return bytes(size)
