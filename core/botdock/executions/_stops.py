"""Asking an execution to stop, from any process: a file that its runner obeys, and a datagram that wakes the runner.

executions/<id>/stop.json      the request; obeyed by the runner that holds the execution, or recovers it
runners/<runner id>.sock       the runner's socket, 0600; a datagram means: look for requests now
runners/<runner id>.lock       the runner's lease; its time of change, which each request sets, means the same
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from botdock._whole_files import publish
from botdock.errors import BotdockError
from botdock.executions._files import OUTCOME, STOP, changed_ns, read_json
from botdock.executions._lease import LOCKED, RUNNERS, SOCKET, holder_of
from botdock.model.execution import Outcome

_MOST = 1e9
"""Seconds of grace from which on a request is damaged: some thirty years."""
_LOOK = 1.0
"""Seconds between two looks at the time of change, should a datagram not come."""


@attrs.frozen(kw_only=True)
class StopRequest:
    """That an execution is to stop.

    Attributes:
        grace: Seconds between asking the bot and killing it; None means the runner's own.
    """

    grace: float | None = None


def request_stop(directory: Path, grace: float | None) -> Path:
    """Ask the execution in this folder to stop, and let none follow it; one that waits for a supervisor ends at once.

    Returns:
        The folder of the one that is asked: where it has ended, and another one follows it by now, that.

    Raises:
        BotdockError: The disk took no more.
    """
    from botdock.executions._queue import call_off, withdraw  # which a runner that looks for requests does not need

    if (followed := call_off(directory)) is not None:
        return request_stop(followed, grace)
    ended = (directory / OUTCOME).exists()
    if not ended and not withdraw(directory, Outcome.STOPPED, "it was stopped before its bot was started"):
        write_stop(directory, grace)
        wake(directory.parent.parent, directory)
    return directory


def write_stop(directory: Path, grace: float | None) -> None:
    """Write the request into the folder of an execution; a shorter grace replaces a longer one.

    Raises:
        BotdockError: It cannot be written.
    """
    draft = directory / f".{STOP}.{os.getpid()}.{time.monotonic_ns()}.tmp"
    document = {"schema": 1, "grace": grace, "requested_ns": time.time_ns()}
    try:
        publish(directory / STOP, json.dumps(document).encode(), draft=draft)
        if (directory / OUTCOME).exists():  # it ended meanwhile, and may have been tidied up already
            (directory / STOP).unlink(missing_ok=True)
    except OSError as error:
        if not directory.exists():  # it has ended, and was removed
            return
        raise BotdockError(f"cannot write {directory / STOP}: {error.strerror or error}") from error


def read_stop(directory: Path) -> StopRequest | None:
    """Return the request in the folder of an execution, or None; what cannot be read asks to stop all the same."""
    if not (directory / STOP).exists():
        return None
    grace = (read_json(directory / STOP) or {}).get("grace")
    return StopRequest(grace=float(grace) if isinstance(grace, int | float) and 0 <= grace < _MOST else None)


def wake(home: Path, directory: Path) -> None:
    """Let the runner that holds an execution look for requests now; in a moment, where no datagram reaches it."""
    with suppress(OSError):
        runner = holder_of(directory)
        os.utime(home / RUNNERS / f"{runner}{LOCKED}")
        send(home / RUNNERS, f"{runner}{SOCKET}", b"stop")


class Doorbell:
    """The socket of a runner.

    Args:
        home: The state folder.
        runner: The runner's id.
    """

    def __init__(self, home: Path, runner: str) -> None:
        self._home = home
        self._name = f"{runner}{SOCKET}"
        self._lease = home / RUNNERS / f"{runner}{LOCKED}"
        self._seen_ns = 0
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_LOOK)
        with suppress(OSError), address_in(home / RUNNERS, self._name) as address:
            self._socket.bind(address)
            (home / RUNNERS / self._name).chmod(0o600)

    def wait(self) -> bool:
        """Wait until there may be a request; return whether it is still open."""
        with suppress(OSError):
            while not self._closed:
                try:
                    self._socket.recv(64)
                    break
                except TimeoutError:
                    before, self._seen_ns = self._seen_ns, changed_ns(self._lease)
                    if before != self._seen_ns or not before:
                        break
        return not self._closed

    def close(self) -> None:
        """Let `wait` return, and leave no file."""
        self._closed = True
        with suppress(OSError):
            (self._home / RUNNERS / self._name).unlink()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def send(folder: Path, name: str, message: bytes) -> None:
    """Send a datagram to the socket of that name in a folder, without waiting.

    Raises:
        OSError: None listens there, or it has more to read than it can hold.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, address_in(folder, name) as address:
        sender.settimeout(0.0)
        sender.sendto(message, address)


@contextmanager
def address_in(folder: Path, name: str) -> Iterator[str]:
    """Give the address of a socket in a folder: short, however long the folder's path is (107 bytes at most)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
