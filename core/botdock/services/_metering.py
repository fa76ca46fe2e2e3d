"""Operations that are timed and counted, and reported once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from botdock.model import ObjectReader

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


class MeteredReader:
    """Passes an object's bytes on; the operation ends when it is closed."""

    def __init__(self, reader: ObjectReader, operation: Operation) -> None:
        self._reader = reader
        self._operation = operation

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        try:
            data = self._reader.read(size)
        except BaseException:
            self._operation.success = False
            raise
        self._operation.size += len(data)
        return data

    def close(self) -> None:
        """Let go; may be called twice."""
        try:
            self._reader.close()
        finally:
            self._operation.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
