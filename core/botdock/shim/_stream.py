"""Reading the log of a container, live or afterwards: the files are the truth, and a bell says when to look."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from botdock.model import LogChunk, LogCursor, LogGap, LogStream
from botdock.shim._container import ContainerFolder, ring
from botdock.shim._log import LogFiles
from botdock.shim._process import wait_readable
from botdock.shim._program import files

LOOK_SECONDS = 0.5
"""How often a reader that no shim has answered yet looks whether there will be one."""


class Bell:
    """A FIFO in the container's folder: readable when the shim has rung, or is gone.

    We hold its writing end ourselves until the shim has connected; a FIFO without a writer would be readable all the
    time, and a bell is hung up before there is a shim.

    Attributes:
        descriptor: What becomes readable.
    """

    def __init__(self, folder: ContainerFolder) -> None:
        self._path = folder.path / files.BELLS / secrets.token_hex(8)
        hidden = folder.path / self._path.name  # the shim takes down a bell without a listener, so we listen first
        os.mkfifo(hidden, 0o600)
        self.descriptor = os.open(hidden, os.O_RDONLY | os.O_NONBLOCK)
        self._write: int | None = os.open(hidden, os.O_WRONLY | os.O_NONBLOCK)
        hidden.rename(self._path)
        folder.tell(files.BELL)

    @property
    def connected(self) -> bool:
        """Whether the end of the shim will be heard."""
        return self._write is None

    def ring(self) -> None:
        """Make it readable; another thread may do so."""
        ring(self._path, files.RUNG)

    def hear(self) -> None:
        """Take what has been rung."""
        with suppress(BlockingIOError):
            if files.CONNECTED in os.read(self.descriptor, 65536):
                self.let_go()

    def let_go(self) -> None:
        """Let the shim alone hold the writing end; where that has died, the bell is readable from now on."""
        if self._write is not None:
            os.close(self._write)
            self._write = None

    def close(self) -> None:
        """Take it down."""
        with suppress(OSError):
            self._path.unlink()
        self.let_go()
        os.close(self.descriptor)


class ShimLogStream(LogStream):
    """The log from a cursor on.

    Args:
        folder: The container.
        cursor: How much of each stream to skip.
        follow: Whether to go on until the container ends.
    """

    ended = False

    def __init__(self, folder: ContainerFolder, *, cursor: LogCursor, follow: bool) -> None:
        self._folder = folder
        self._follow = follow
        self._bell = Bell(folder)
        try:
            self._files = LogFiles(folder, cursor=cursor, follow=follow)
        except OSError:
            self._bell.close()
            raise
        self._reading = Lock()
        self._closing = Lock()
        self._closed = False
        if not follow or folder.log_is_final():
            self._bell.let_go()  # no news will come

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
        deadline = time.monotonic() + timeout
        with self._reading:
            while not (self._closed or self.ended):
                before = self._files.activity
                if chunks := self._look():
                    return chunks
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    break
                if self._files.activity == before:
                    wait_readable(self._bell.descriptor, left if self._bell.connected else min(left, LOOK_SECONDS))
        return []

    def fileno(self) -> int | None:
        """Return the bell's descriptor, which is readable at the end too."""
        return None if self._closed else self._bell.descriptor

    def close(self) -> None:
        """Close everything, once the thread that reads has woken up and left."""
        with self._closing:
            closed, self._closed = self._closed, True
        if not closed:
            self._bell.ring()
            with self._reading:
                self._bell.close()
                self._files.close()

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
            self.ended = True
            self._bell.let_go()
        return chunks
