"""Reading the log of a container, live or afterwards: the file is the truth, and the bell says when to look."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock

from botdock.model import LogChunk, LogCursor, LogGap, LogStream
from botdock_engine_process.bell import Bell
from botdock_engine_process.folder import ContainerFolder
from botdock_engine_process.frames import LogFiles
from botdock_engine_process.processes import wait_readable

LOOK_SECONDS = 0.5
"""How often a reader whom no supervisor has answered yet looks whether there will be one."""


class FileLogStream(LogStream):
    """The log from a cursor on.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to go on until the container ends.
    """

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._bell = Bell(folder)
        try:
            self._files = LogFiles(folder, cursor=cursor, follow=follow)
        except OSError:
            self._bell.close()
            raise
        self._follow = follow
        self._lock = Lock()
        self._reading = False
        self._closed = False
        self._ended = False
        if not follow or folder.log_is_final():
            self._bell.let_go()  # there is nobody to wait for

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    @property
    def lost(self) -> Sequence[LogGap]:
        """What is gone before the first byte: of a bot that may write without an end, only the newest is kept."""
        return self._files.lost

    @property
    def activity(self) -> int:
        """Bytes of the log's files that were read, those that are skipped too."""
        return self._files.activity

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come; see `LogStream.read`."""
        if not self._enter():
            return []
        try:
            return self._read(time.monotonic() + timeout)
        finally:
            self._leave()

    def fileno(self) -> int | None:
        """Return the bell's descriptor, which is readable at the end too."""
        return None if self._closed else self._bell.descriptor

    def close(self) -> None:
        """Close everything, or let the thread that is reading do so."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._reading:
                self._bell.ring()
                return
        self._release()

    def _enter(self) -> bool:
        with self._lock:
            self._reading = not self._closed and not self._ended
            return self._reading

    def _leave(self) -> None:
        with self._lock:
            self._reading = False
            closed = self._closed
        if closed:
            self._release()

    def _release(self) -> None:
        self._bell.close()
        self._files.close()

    def _read(self, deadline: float) -> list[LogChunk]:
        while True:
            before = self._files.activity
            if chunks := self._look():
                return chunks
            left = deadline - time.monotonic()
            if self._ended or self._closed or left <= 0:
                return []
            if self._files.activity == before:
                self._listen(left)

    def _look(self) -> list[LogChunk]:
        before = self._files.activity
        chunks = self._files.next_chunks()
        if self._files.activity != before:
            return chunks  # the bell is left as it is: there may be more
        self._bell.hear()
        final = self._folder.log_is_final()  # asked first, so that what follows is all there is
        chunks = self._files.next_chunks()
        if self._files.activity == before and (final or not self._follow):
            if final:
                self._files.check_end()
            self._ended = True
            self._bell.let_go()
        return chunks

    def _listen(self, left: float) -> None:
        slice_ = left if self._bell.connected else min(left, LOOK_SECONDS)
        wait_readable(self._bell.descriptor, slice_)
