"""Writing the log, and telling its readers."""

# ruff: noqa: PTH108, PTH118, PTH208 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import time
from contextlib import suppress

from botdock_engine_process.supervisor.layout import CONNECTED, FRAME, RUNG


class LogFile:
    """The log of a container; grows to `limit` bytes of data, and not beyond."""

    def __init__(self, path: str, limit: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._left = limit
        self._end = 0

    def append(self, stream: int, data: bytes) -> bool:
        """Write one frame; return whether all of the data was within the limit.

        Raises:
            OSError: The disk is full, or the like; the log then ends with its last whole frame.
        """
        kept = data[: self._left]
        if kept:
            self._write(FRAME.pack(time.time_ns(), len(kept), stream) + kept)
            self._left -= len(kept)
        return len(kept) == len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, frame: bytes) -> None:
        rest = memoryview(frame)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(frame)


class Bells:
    """The FIFOs of those who read the log; a reader that is slow or gone holds nobody up."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}

    def scan(self) -> None:
        """Connect to the bells that have been hung up since the last time."""
        with suppress(FileNotFoundError):  # the container is being removed
            for name in os.listdir(self._folder):
                if name not in self._open:
                    self._connect(name)

    def ring(self) -> None:
        """Say that there is news."""
        for name in tuple(self._open):
            self._write(name, RUNG)

    def close(self) -> None:
        """Let go, which says that there will be no more news."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _connect(self, name: str) -> None:
        try:
            self._open[name] = os.open(self._path(name), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody listens any more: a reader that was killed
            self._take_down(name)
        else:
            self._write(name, CONNECTED)

    def _write(self, name: str, byte: bytes) -> None:
        try:
            os.write(self._open[name], byte)
        except BlockingIOError:  # it has not listened to what was rung before, so it need not hear this
            return
        except OSError:
            os.close(self._open.pop(name))
            self._take_down(name)

    def _take_down(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)
