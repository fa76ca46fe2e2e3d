"""The file that the node exporter's textfile collector reads."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botdock.errors import MetricsError

_MARK = b"# botdock: as of "
_LINE = 200
"""Bytes within which the first line ends."""
_LOCK_TIMEOUT = 5.0
_PAUSE = 0.01
_FUTURE = timedelta(minutes=5)
"""How far ahead a file's time may be before it is taken for that of a wrong clock, and the file is replaced."""


class Textfile:
    """A file that is replaced as a whole: a reader sees the old numbers or the new ones, never half of them.

    Several runners may write the same one. Each takes its numbers at some instant, and the earlier ones never replace
    the later ones, whichever is written last: a counter that goes back reads as a restart.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f".{path.name}.lock")
        self._draft = path.with_name(f".{path.name}.tmp")

    def write(self, data: bytes, taken_at: datetime) -> None:
        """Replace the file, unless its numbers were taken later.

        Raises:
            MetricsError: It cannot be written.
        """
        try:
            with self._locked():
                if not self._is_later(taken_at):
                    self._replace(_MARK + taken_at.isoformat().encode() + b"\n" + data)
        except OSError as error:
            raise MetricsError(f"metrics file {self._path} cannot be written: {error.strerror or error}") from error

    def _replace(self, data: bytes) -> None:
        # Not a temporary file of the standard library: that one would be readable by us alone.
        try:
            self._draft.write_bytes(data)
            self._draft.chmod(0o644)  # the node exporter is somebody else, and a umask may keep it out
            self._draft.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._draft.unlink()
            raise

    def _is_later(self, taken_at: datetime) -> bool:
        try:
            with self._path.open("rb") as file:
                first = file.readline(_LINE)
            there = datetime.fromisoformat(first.removeprefix(_MARK).strip().decode())
        except (FileNotFoundError, ValueError):
            return False
        return there.tzinfo is not None and taken_at < there < datetime.now(UTC) + _FUTURE

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _take(descriptor)
            yield
        finally:
            os.close(descriptor)


def _take(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another runner has been busy with it for too long") from None
        time.sleep(_PAUSE)
