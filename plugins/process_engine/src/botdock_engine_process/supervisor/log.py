"""Writing the log, and telling its readers."""

# ruff: noqa: PTH105, PTH108, PTH118, PTH208 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import time
from contextlib import suppress

from botdock_engine_process.supervisor.layout import (
    BURST,
    CONNECTED,
    FRAME,
    FREE_FRAMES,
    HEAD,
    OUTPUT_HEADROOM,
    PARTS,
    RUNG,
    STDERR,
    STDOUT,
    log_name,
)


class LogFile:
    """A file of the log, with its head.

    Its frames take no more of the disk than what the bot wrote does, and a little: a piece that is smaller than its
    frame waits then for the next one of its stream, or for the end.

    Attributes:
        size: Bytes of the bot's that are in it.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._end = HEAD.size
        self._held: dict[int, bytes] = {}
        self.size = 0

    def append(self, stream: int, data: bytes) -> None:
        """Write one frame, or hold a tiny piece back.

        Raises:
            OSError: The disk is full, or the like; the file then ends with its last whole frame.
        """
        data = self._held.pop(stream, b"") + data
        if len(data) < FRAME.size and self._end > 2 * self.size + FREE_FRAMES:
            self._held[stream] = data
        else:
            self._write_frame(stream, data)

    def flush(self) -> None:
        """Write what was held back.

        Raises:
            OSError: As of `append`.
        """
        while self._held:
            self._write_frame(*self._held.popitem())

    def close(self) -> None:
        """Write what was held back, and close the file.

        Raises:
            OSError: As of `append`; it is closed then, too.
        """
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _write_frame(self, stream: int, data: bytes) -> None:
        self._write(FRAME.pack(time.time_ns(), len(data), stream) + data)
        self.size += len(data)

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


class Head:
    """The log of a bot that ends: its first `limit` bytes, and a little more."""

    def __init__(self, limit: int) -> None:
        self.logged = {STDOUT: 0, STDERR: 0}
        self._file = LogFile(log_name(0))
        self._left = limit + OUTPUT_HEADROOM

    def append(self, stream: int, data: bytes) -> bool:
        """Keep what the bot wrote; return whether there is room for all of it.

        Raises:
            OSError: As of a file.
        """
        kept = data[: self._left]
        if kept:
            self._file.append(stream, kept)
            self.logged[stream] += len(kept)
            self._left -= len(kept)
        return len(kept) == len(data)

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: As of a file.
        """
        self._file.close()


class Tail:
    """The log of a bot that may write without an end: its last `limit` bytes, and some more.

    It is in files of about the same size, so that the disk is given back what the oldest one took.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit + BURST
        self.logged = {STDOUT: 0, STDERR: 0}
        self._full: list[tuple[int, int]] = []
        self._number = 0
        self._file = LogFile(log_name(0))

    def append(self, stream: int, data: bytes) -> bool:
        """Keep what the bot wrote; return True: there is always room.

        Raises:
            OSError: As of a file.
        """
        if self._file.size * PARTS >= self._limit:
            self._begin_file()
        self._file.append(stream, data)
        self.logged[stream] += len(data)
        return True

    def close(self) -> None:
        """Close the newest file.

        Raises:
            OSError: As of a file.
        """
        self._file.close()

    def _begin_file(self) -> None:
        self._file.flush()  # first: nothing is added to a file that another one follows
        make_log_file(self._number + 1, self.logged[STDOUT], self.logged[STDERR])
        following = LogFile(log_name(self._number + 1))
        self._file.close()
        self._full.append((self._number, self._file.size))
        self._number, self._file = self._number + 1, following
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        while sum(size for _, size in self._full[1:]) >= self._limit:
            number, _ = self._full.pop(0)
            os.unlink(log_name(number))


def make_log_file(number: int, stdout: int = 0, stderr: int = 0, *, folder: str = "") -> None:
    """Make a file of the log, which appears with its head.

    Args:
        number: Of the file.
        stdout: Bytes of stdout in those before it.
        stderr: Bytes of stderr in those before it.
        folder: Of the container; empty for the working directory.

    Raises:
        OSError: The disk is full, or the like; there is no such file then.
    """
    path = os.path.join(folder, log_name(number))
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, HEAD.pack(stdout, stderr))
    finally:
        os.close(descriptor)
    os.replace(new, path)


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
