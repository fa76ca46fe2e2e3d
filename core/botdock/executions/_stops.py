"""Asking an execution to stop, from any process: a file that its runner obeys, and a datagram that wakes the runner.

executions/<id>/stop.json      the request; obeyed by the runner that holds the execution, or recovers it
runners/<runner id>.sock       the runner's socket, 0600; a datagram means: look for requests now
runners/<runner id>.lock       the runner's lease; its time of change, which each request sets, means the same
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
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
    if not os.path.exists(f"{directory}/{STOP}"):  # noqa: PTH110 - asked at each step of a start
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
    """The socket of a runner, and the thread that answers it.

    Args:
        home: The state folder.
        answer: Looks for requests, and obeys them.
    """

    def __init__(self, home: Path, answer: Callable[[], None]) -> None:
        self._folder = home / RUNNERS
        self._answer = answer
        self._lock = threading.Lock()
        self._closed = False
        self._runner = ""
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def begin(self, runner: str) -> None:
        """Answer for the runner of that id from now on, unless that has begun."""
        with self._lock:
            if self._closed or (self._thread and self._thread.is_alive()):
                return
            self._runner, self._socket = runner, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_LOOK)
            name = f"{runner}{SOCKET}"
            with suppress(OSError), address_in(self._folder, name) as address:
                self._socket.bind(address)
                (self._folder / name).chmod(0o600)
            self._thread = threading.Thread(
                target=self._listen, args=(self._socket,), name="botdock-stops", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Answer no more, and leave no file; what is asked for from now on is the successor's to obey."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                with suppress(OSError):
                    (self._folder / f"{self._runner}{SOCKET}").unlink()
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket.close()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _listen(self, ours: socket.socket) -> None:
        lease, seen_ns = self._folder / f"{self._runner}{LOCKED}", 0
        while not self._closed:
            try:
                ours.recv(64)
            except TimeoutError:
                before, seen_ns = seen_ns, 0
                with suppress(OSError):  # another program has removed it
                    seen_ns = changed_ns(lease)
                if before == seen_ns != 0:
                    continue
            except OSError:  # it is closed
                return
            if not self._closed:
                self._answer()


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
