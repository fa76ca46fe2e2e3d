"""Writing the log, and telling its readers."""

# ruff: noqa: PTH105, PTH108, PTH208 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from .files import FRAME, HEAD, LOG, RUNG, STDERR, STDOUT

FREE_FRAMES = 256 * 1024
"""Bytes that the frames of a file may take beyond those of the bot in it, before tiny pieces wait for more."""
OUTPUT_HEADROOM = 1024 * 1024
"""Bytes beyond the limit on output that are logged before the bot is killed: time for the runner to do it itself."""
BURST = 8 * 1024 * 1024
"""Bytes beyond the limit that are kept of a bot that may write without an end: what a busy runner reads late."""
MUCH, LARGE_PIPE = 32 * 1024, 1024 * 1024
"""Bytes of a read after which there is no rest: so much is half of what a pipe of Linux holds; and what one is made to
hold then, where the system allows it."""
HASTY_READS, REST = 64, 0.001
"""So many reads, one soon behind the other, are made without a rest; then it is so many seconds."""
PARTS = 4
"""How many files hold what is kept of a bot that may write without an end; there is one more while they change."""


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
        rest = memoryview(FRAME.pack(time.time_ns(), len(data), stream) + data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += FRAME.size + len(data)
        self.size += len(data)


class Log:
    """What is kept of what a bot writes.

    Args:
        limit: Bytes, and a little more: the first ones.
        newest: Keep the last ones instead, of a bot that may write without an end. They are in files of about the same
            size, so that the disk is given back what the oldest one took.

    Attributes:
        logged: Bytes of each stream that it was given, and did not refuse.
    """

    def __init__(self, limit: int, *, newest: bool) -> None:
        self.logged = {STDOUT: 0, STDERR: 0}
        self._newest = newest
        self._limit = limit + (BURST if newest else OUTPUT_HEADROOM)
        self._full: list[tuple[int, int]] = []
        self._number = 0
        self._file = LogFile(f"{LOG}0")

    def append(self, stream: int, data: bytes) -> bool:
        """Keep what the bot wrote; return whether all of it may be kept.

        Raises:
            OSError: As of a file.
        """
        kept = data
        if not self._newest:
            kept = data[: self._limit - sum(self.logged.values())]
        elif self._file.size * PARTS >= self._limit:
            self._begin_file()
        if kept:
            self._file.append(stream, kept)
            self.logged[stream] += len(kept)
        return len(kept) == len(data)

    def close(self) -> None:
        """Close the newest file.

        Raises:
            OSError: As of a file.
        """
        self._file.close()

    def _begin_file(self) -> None:
        self._file.flush()  # first: nothing is added to a file that another one follows
        path = f"{LOG}{self._number + 1}"
        with open(f"{path}.new", "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(HEAD.pack(self.logged[STDOUT], self.logged[STDERR]))
        os.replace(f"{path}.new", path)  # so it appears with its head
        following = LogFile(path)
        self._file.close()
        self._full.append((self._number, self._file.size))
        self._number, self._file = self._number + 1, following
        while sum(size for _, size in self._full[1:]) >= self._limit:
            os.unlink(f"{LOG}{self._full.pop(0)[0]}")


class Pace:
    """Gathers what a bot writes all the time, so that neither it nor we wake up for each line of a million.

    What others write is read at once, piece by piece: times, and the order of the two streams, are those of the bot.
    """

    def __init__(self) -> None:
        self._hasty, self._read_at = 0, 0.0
        self._enlarged: set[int] = set()

    def has_read(self, pipe: int, size: int) -> None:
        """Make the pipe larger, or rest, if need be after a read of so many bytes."""
        self._hasty = self._hasty + 1 if time.monotonic() - self._read_at < REST else 0
        if size < MUCH and self._hasty > HASTY_READS:
            time.sleep(REST)
        elif size >= MUCH and pipe not in self._enlarged:
            self._enlarged.add(pipe)
            with suppress(OSError, AttributeError):  # this user has too many; or it is not Linux
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, LARGE_PIPE)
        self._read_at = time.monotonic()


class Bells:
    """The FIFOs of those who read the log; a reader that is slow or gone does not hold up the others."""

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
            self._write(name)

    def close(self) -> None:
        """Let go: there will be no more news."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _connect(self, name: str) -> None:
        try:
            self._open[name] = os.open(f"{self._folder}/{name}", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # its reader was killed
            self._take_down(name)
        else:
            self._write(name)  # of what was logged before

    def _write(self, name: str) -> None:
        try:
            os.write(self._open[name], RUNG)
        except BlockingIOError:  # it has not listened to what was rung before, so it need not hear this
            return
        except OSError:
            os.close(self._open.pop(name))
            self._take_down(name)

    def _take_down(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(f"{self._folder}/{name}")
