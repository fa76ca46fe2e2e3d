"""The seam to wherever code comes from and results go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

import attrs

from botdock.errors import StorageKeyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_KEY_BYTES = 1024
"""S3's own bound on the length of a key."""
MAX_SEGMENT_BYTES = 255
"""What one name in a file system may hold (NAME_MAX of ext4, xfs and most others)."""


class StorageArea(StrEnum):
    """What an object is for; a backend may keep each kind in a place (folder, bucket) of its own."""

    CODE = "code"
    RESULTS = "results"
    LOGS = "logs"


class ByteReader(Protocol):
    """Bytes that are read in pieces; an open file is one."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        ...


class ObjectReader(ByteReader, Protocol):
    """The bytes of an object on their way; a context manager that lets go of the connection."""

    def close(self) -> None:
        """Let go."""
        ...

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it."""
        ...


@attrs.frozen(kw_only=True)
class ObjectInfo:
    """What a storage knows of an object without reading it.

    Attributes:
        key: Its key.
        size: Bytes.
        etag: Changes when the content does; opaque.
        modified: When it was written, UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime


@attrs.frozen(kw_only=True)
class DeleteFailure:
    """An object that could not be deleted, and why.

    Attributes:
        key: Its key.
        reason: In words.
    """

    key: str
    reason: str


@attrs.frozen(kw_only=True)
class Receipt:
    """Says that an object is in safe hands: in the storage, or on this disk, from where it will be delivered.

    Attributes:
        area: Its area.
        key: Its key.
        size: Bytes.
    """

    area: StorageArea
    key: str
    size: int


@attrs.frozen(kw_only=True)
class OutboxStatus:
    """What waits on this disk for the storage.

    Attributes:
        items: Objects that wait.
        bytes: Bytes of these.
        oldest: When the oldest of these was enqueued, UTC; None when nothing waits.
        failed_items: Objects that the storage keeps refusing while it takes others; they are kept.
        dropped_items: Objects that were given up because the bound was reached, ever.
        dropped_bytes: Bytes of these.
        last_error: Why the last delivery failed; empty once one succeeds.
    """

    items: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    failed_items: int = 0
    dropped_items: int = 0
    dropped_bytes: int = 0
    last_error: str = ""


class StorageBackend(ABC):
    """Keeps objects by key: bytes in, the same bytes out, never half of them. Safe to use from several threads.

    One backend is one namespace (one `StorageArea`). Keys are what `validate_key` lets through. Everything streams:
    no method holds an object in memory.

    Example:
        >>> def copy(backend: StorageBackend, old: str, new: str) -> None:
        ...     with backend.get(old) as reader:
        ...         backend.put(new, reader)
    """

    @abstractmethod
    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or `length` bytes of it from `offset` on; a range past the end is shorter or empty.

        Raises:
            ObjectNotFoundError: It is not there.
            StorageKeyError: Not a key.
            StorageUnavailableError: The storage does not answer.
        """

    @abstractmethod
    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object, replacing one that is there; readers see the old one or the new one, never a mixture.

        Args:
            key: Where.
            source: Read to its end. When it raises, nothing is written and the error goes through.
            size: Bytes that will come, where that is known; a source that gives another number is refused.

        Raises:
            StorageError: It could not be written (a full disk, for one); nothing of it is visible.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key begins with `prefix` (of characters, as in S3), sorted by key."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete objects, and yield those that could not be; one that is not there counts as deleted."""

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object.

        Raises:
            ObjectNotFoundError: It is not there.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; never raises, and may be called twice."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it keeps its objects, for messages; never with a secret in it."""


def validate_key(key: str) -> str:
    """Return `key` if any storage can hold it safely.

    A key is 1 to 1024 bytes of UTF-8: segments of 1 to 255 bytes, separated by `/`; none is `.` or `..`; no
    backslash, no control character. So it can be a path below a folder and never one outside it.

    Raises:
        StorageKeyError: Saying which rule it breaks.

    Example:
        >>> validate_key("code/sma.zip")
        'code/sma.zip'
    """
    problem = _key_problem(key)
    if problem:
        raise StorageKeyError(str(key), problem)
    return key


def _key_problem(key: object) -> str | None:
    if not isinstance(key, str) or not key:
        return "must be text, and not empty"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is not valid text"
    if size > MAX_KEY_BYTES:
        return f"is {size} bytes long; {MAX_KEY_BYTES} are allowed"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 or character == "\\" for character in key):  # noqa: PLR2004 - the C0 and C1 controls
        return "holds a control character or a backslash"
    return _segments_problem(key.split("/"))


def _segments_problem(segments: list[str]) -> str | None:
    if "" in segments:
        return "begins or ends with '/', or holds '//'"
    if "." in segments or ".." in segments:
        return "holds a segment '.' or '..'"
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        return f"holds a segment of more than {MAX_SEGMENT_BYTES} bytes"
    return None
