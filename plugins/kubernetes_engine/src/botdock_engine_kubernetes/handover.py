"""What a log stream has read in the cluster's thread, on its way to the thread that takes it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock.errors import ContainerError
    from botdock_engine_kubernetes.entries import Entry

ROOM = 4 * 1024 * 1024
"""Bytes that wait to be taken; then the connection is read no further, and the kubelet waits."""
MOST_TAKEN = 256 * 1024
"""Bytes that are taken at once, and a line more."""
_COST = 64
"""Bytes that an entry costs beside its own."""


class Handover:
    """A bounded queue from the event loop to one thread, with a descriptor that tells of it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = self._is_closed = self._is_told = self._is_full = False
        self._error: ContainerError | None = None
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)

    async def put(self, entries: Sequence[Entry]) -> None:
        """Add entries; return when there is room for more."""
        if not entries:
            return
        with self._changed:
            self._loop = asyncio.get_running_loop()
            self._entries.extend(entries)
            self._size += sum(len(data) + _COST for _, data in entries)
            self._room.clear()
            is_full = self._is_full = self._size > ROOM
            self._tell()
        if is_full:
            await self._room.wait()

    def end(self, error: ContainerError | None = None) -> None:
        """Say that nothing more comes, and why, where that is not the log's end."""
        with self._changed:
            self._is_over, self._error = True, error
            self._tell()

    @property
    def ended(self) -> bool:
        """Whether all was taken up to the end of the log."""
        with self._changed:
            return self._is_over and not self._entries and self._error is None

    def take(self, timeout: float) -> list[Entry]:
        """Return what is there, waiting at most so many seconds for the first; nothing at the end.

        Raises:
            ContainerError: It ended otherwise, and all before was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._is_over or self._is_closed, timeout)
            taken: list[Entry] = []
            size = 0
            while self._entries and size < MOST_TAKEN and not self._is_closed:
                entry = self._entries.popleft()
                size += len(entry[1])
                taken.append(entry)
            self._size -= size + _COST * len(taken)
            if self._loop and self._is_full and self._size <= ROOM // 2:
                self._is_full = False
                with suppress(RuntimeError):  # the engine was closed meanwhile
                    self._loop.call_soon_threadsafe(self._room.set)
            if self._is_told and not (self._entries or self._is_over or self._is_closed):
                self._is_told = False
                os.read(self._read_end, 1)
            if self._error and not taken and not self._is_closed:
                raise self._error
            return taken

    def fileno(self) -> int | None:
        """Return what is readable while there is something to take, or the end has come; None once it is closed."""
        return None if self._is_closed else self._read_end

    def close(self) -> None:
        """Let go of all; a thread that waits returns."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._entries.clear()
            self._changed.notify_all()
            os.close(self._read_end)
            os.close(self._write_end)

    def _tell(self) -> None:
        self._changed.notify_all()
        if not (self._is_told or self._is_closed):
            self._is_told = True
            os.write(self._write_end, b"\0")
