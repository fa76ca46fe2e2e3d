"""Operations that are timed and counted, and reported once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Self

from botdock.model.storage import StorageBackend

if TYPE_CHECKING:
    from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader

Report = Callable[[str, float, int, bool], None]
"""Told of each operation: its name such as `put`, seconds, bytes moved, and whether it succeeded."""


class Operation:
    """One operation from its making to its end; as a context manager it fails when an error passes through.

    Attributes:
        size: Bytes moved so far.
        success: Whether nothing went wrong so far.
    """

    def __init__(self, name: str, report: Report) -> None:
        self.size = 0
        self.success = True
        self._name = name
        self._report = report
        self._started = time.perf_counter()
        self._ended = False

    def end(self) -> None:
        """Report it; only the first time counts."""
        if not self._ended:
            self._ended = True
            self._report(self._name, time.perf_counter() - self._started, self.size, self.success)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.success = self.success and kind is None
        self.end()


class MeteredReader(Operation):
    """Opens an object and passes its bytes on; a `get`, reported when it is closed, or cannot be opened."""

    def __init__(self, open_object: Callable[[], ObjectReader], report: Report) -> None:
        super().__init__("get", report)
        try:
            self._reader = open_object()
        except BaseException:
            self.success = False
            self.end()
            raise

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        try:
            data = self._reader.read(size)
        except BaseException:
            self.success = False
            raise
        self.size += len(data)
        return data

    def close(self) -> None:
        """Let go; may be called twice."""
        try:
            self._reader.close()
        finally:
            self.end()

    def __exit__(self, *_: object) -> None:
        self.close()


class MeteredBackend(StorageBackend):
    """Passes everything on to a backend, and reports each call: `get`, `put`, `list`, `delete`, `stat`.

    One that returns something to go through is reported when that is closed or has come to its end.
    """

    def __init__(self, backend: StorageBackend, report: Report) -> None:
        self._backend = backend
        self._report = report

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object."""
        return MeteredReader(lambda: self._backend.get(key, offset=offset, length=length), self._report)

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object."""
        with Operation("put", self._report) as operation:
            info = self._backend.put(key, source, size=size)
            operation.size = info.size
        return info

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects; a caller that has seen enough of them has not failed."""
        with Operation("list", self._report) as operation:
            try:
                yield from self._backend.list(prefix)
            except GeneratorExit:
                operation.end()
                raise

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete objects; one that stays makes it an error."""
        with Operation("delete", self._report) as operation:
            for failure in self._backend.delete(keys):
                operation.success = False
                yield failure

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object."""
        with Operation("stat", self._report):
            return self._backend.stat(key)

    def close(self) -> None:
        """Let go of the backend."""
        self._backend.close()

    @property
    def location(self) -> str:
        """Where the backend keeps its objects."""
        return self._backend.location
