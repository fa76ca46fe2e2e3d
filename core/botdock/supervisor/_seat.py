"""The one place of a supervisor in a state folder: who has it, how it is woken, and how it is handed over.

supervisor.lock            locked by the supervisor as long as it lives, and holds its process id
requests/supervisor.sock   its socket, 0600: a datagram wakes it, and one that says so asks it to hand over

What another program removes of it under a living supervisor is made anew, but not the lock: another one may have that.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from botdock._locks import locked_at_once
from botdock._log import logger
from botdock._whole_files import make_private
from botdock.errors import BotdockError
from botdock.executions._files import REQUESTS, SUPERVISOR
from botdock.executions._stops import address_in, send

SOCKET = "supervisor.sock"
WAKE, HAND_OVER = b"wake", b"hand over"
_PAUSE = 0.05
_ASK_EVERY = 1.0
_LOOK = 0.5
"""Seconds; one who only looks whether the seat is taken has it for some microseconds."""


def ring(home: Path, message: bytes = WAKE) -> None:
    """Wake the supervisor, where one lives; it looks by itself, too, if it cannot be reached."""
    with suppress(OSError):
        send(home / REQUESTS, SOCKET, message)


def is_taken(home: Path) -> bool:
    """Tell whether a supervisor lives."""
    with locked_at_once(home / SUPERVISOR) as free:
        return not free


@contextmanager
def seated(home: Path, *, replace: bool, patience: float) -> Iterator[Bell | None]:
    """Be the supervisor of a state folder, and give its bell; None when another one is.

    Args:
        home: The state folder.
        replace: Whether to ask another one to hand over, and to wait for that.
        patience: Seconds to wait, at most.
    """
    with ExitStack() as stack:
        deadline, asked = time.monotonic() + (patience if replace else _LOOK), float("-inf")
        while not stack.enter_context(locked_at_once(home / SUPERVISOR)):
            if time.monotonic() >= deadline:
                yield None
                return
            if replace and time.monotonic() - asked >= _ASK_EVERY:
                asked = time.monotonic()
                ring(home, HAND_OVER)
            time.sleep(_PAUSE)
        with suppress(OSError):  # a full disk keeps no supervisor from its work
            (home / SUPERVISOR).write_text(f"{os.getpid()}\n")
        make_private(home / REQUESTS)
        bell = Bell(home)
        stack.callback(bell.close)
        yield bell


class Bell:
    """The socket of the supervisor; it may be rung from a signal handler.

    Args:
        home: The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / REQUESTS / SOCKET
        self._socket = self._open()

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):  # without a name, it looks now and then
            self._path.unlink(missing_ok=True)
            with address_in(self._path.parent, SOCKET) as address:
                opened.bind(address)
            self._path.chmod(0o600)
        return opened

    def keep(self) -> None:
        """Make anew what was removed of its folder and its name.

        Raises:
            BotdockError: The lock was removed, so that another supervisor may live by now.
        """
        if not (self._home / SUPERVISOR).exists():
            raise BotdockError(
                f"{self._home / SUPERVISOR} was removed under its supervisor, which ends",
                hint="Bots run on. Start another supervisor, and leave the files of the state folder to botdock.",
            )
        if self._path.exists():
            return
        with suppress(OSError):  # the disk may take it later
            make_private(self._path.parent)
            self._socket.close()
            self._socket = self._open()
            logger.bind(path=str(self._path)).warning("the supervisor's socket was removed, and is made anew")

    def ring(self) -> None:
        """Let `wait` return."""
        ring(self._home)

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, so many seconds at most; return whether another one asks for the seat."""
        self._socket.settimeout(max(seconds, 0.001))
        asked = False
        with suppress(OSError):
            while True:
                asked = self._socket.recv(64) == HAND_OVER or asked
                self._socket.settimeout(0.0)
        return asked

    def close(self) -> None:
        """Leave no file."""
        with suppress(OSError):
            self._path.unlink()
        self._socket.close()
