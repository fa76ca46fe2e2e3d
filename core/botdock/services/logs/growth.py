"""Counts what one collector stores of a log."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Growth:
    """Records how much a log has grown since it was last looked at: each byte once, and not each chunk for itself.

    What somebody else had stored before is not counted: he has counted it.

    Args:
        written: Returns the bytes that were ever stored; never less than before.
        record: Told of each `store` with its bytes.
    """

    def __init__(self, written: Callable[[], int], record: Callable[[str, bool, int], None]) -> None:
        self._written = written
        self._record = record
        self._counted = written()
        self._lock = threading.Lock()

    def count(self) -> None:
        """Record what was stored since the last time, if anything was; any thread may."""
        with self._lock:
            size = self._written() - self._counted
            self._counted += size
        if size:
            self._record("store", True, size)  # noqa: FBT003 - the callback's signature
