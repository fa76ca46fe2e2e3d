"""How a reader of the log learns that there is news, without a thread and without polling."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from botdock_engine_process.folder import ContainerFolder, ring
from botdock_engine_process.supervisor import layout


class Bell:
    """A FIFO of ours in the container's folder: readable when the supervisor has rung, or is gone.

    We hold its writing end ourselves until the supervisor has connected; a FIFO that nobody writes would be
    readable all the time, and one is hung up before there is a supervisor.
    """

    def __init__(self, folder: ContainerFolder) -> None:
        self._path: Path = folder.file(layout.BELLS) / secrets.token_hex(8)
        hidden = folder.file(self._path.name)  # the supervisor takes down what nobody listens to, so we listen first
        os.mkfifo(hidden, 0o600)
        self._read = os.open(hidden, os.O_RDONLY | os.O_NONBLOCK)
        self._write: int | None = os.open(hidden, os.O_WRONLY | os.O_NONBLOCK)
        hidden.rename(self._path)
        folder.tell(layout.BELL)

    @property
    def descriptor(self) -> int:
        """What becomes readable."""
        return self._read

    @property
    def connected(self) -> bool:
        """Whether the end of the supervisor will be heard."""
        return self._write is None

    def ring(self) -> None:
        """Make it readable; another thread may do so."""
        ring(self._path, layout.RUNG)

    def hear(self) -> None:
        """Take what has been rung."""
        with suppress(BlockingIOError):
            if layout.CONNECTED in os.read(self._read, 65536):
                self.let_go()

    def let_go(self) -> None:
        """Let the supervisor alone hold the writing end; where there is none, it is readable from now on."""
        if self._write is not None:
            os.close(self._write)
            self._write = None

    def close(self) -> None:
        """Take it down."""
        with suppress(OSError):
            self._path.unlink()
        self.let_go()
        os.close(self._read)
