"""How a shim is heard of: its end, by the kernel, for one thread that sleeps; and that its log has grown, by a bell."""

from __future__ import annotations

import os
import secrets
import select
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from botdock.errors import EngineUnavailableError
from botdock.model import EngineEvents
from botdock.shim._container import ContainerFolder
from botdock.shim._process import is_alive
from botdock.shim._program import files


class ShimEvents(EngineEvents):
    """Ends of the containers that it was told to watch, each by a descriptor of its shim.

    Args:
        engine: Its name, for messages.

    Raises:
        OSError: No descriptor is left.
    """

    is_certain = True

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._watched: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._poll = select.epoll()
        self._closing = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._closing, select.EPOLLIN)
        self._cut = self._closed = False

    def watches(self, name: str) -> bool:
        """Tell whether a container is watched, and its shim lives; much quicker than a look at its records."""
        with self._lock:
            descriptor = self._watched.get(name)
            if descriptor is None or self._closed:
                return False
            look = select.poll()
            look.register(descriptor, select.POLLIN)
            return not look.poll(0)

    def watch(self, name: str, shim: Mapping[str, Any] | None) -> None:
        """Watch a container by its shim's record; without a descriptor for it, nothing more is told at all."""
        with self._lock:
            if shim is None or self._closed or name in self._watched:
                return
            try:
                descriptor = os.pidfd_open(shim["pid"])
            except ProcessLookupError:
                return  # the look that comes next sees its end
            except OSError:  # no descriptor is left, or the kernel is too old
                self._cut = True
                os.eventfd_write(self._closing, 1)
                return
            if not is_alive(shim):  # the number has passed to another one
                os.close(descriptor)
                return
            self._watched[name], self._names[descriptor] = descriptor, name
            self._poll.register(descriptor, select.EPOLLIN)

    def read(self, timeout: float) -> Sequence[str]:
        """Return the containers whose shims have ended."""
        ended: list[str] = []
        with suppress(ValueError):  # closed meanwhile
            found = self._poll.poll(timeout)
            with self._lock:
                ended = [self._names[descriptor] for descriptor, _ in found if descriptor in self._names]
                for name in ended:
                    self._forget(name)
        if self._cut:
            raise EngineUnavailableError("ends are not told", engine=self._engine, operation="events")
        return ended

    def _forget(self, name: str) -> None:
        descriptor = self._watched.pop(name)
        del self._names[descriptor]
        self._poll.unregister(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Let `read` return, and let go of all."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._closing, 1)
            for name in list(self._watched):
                self._forget(name)

    def __del__(self) -> None:
        """Let go of what a reader may still have slept on when it was closed."""
        self._poll.close()
        os.close(self._closing)


class Bell:
    """A FIFO in the container's folder: readable when the shim has rung, or is gone.

    We hold its writing end ourselves until the shim has connected; a FIFO without a writer would be readable all the
    time, and a bell is hung up before there is a shim.

    Attributes:
        path: Where it is; what is written there makes it readable, also by another thread.
        descriptor: What becomes readable.
        connected: Whether the end of the shim will be heard.
    """

    def __init__(self, folder: ContainerFolder) -> None:
        self.path = folder.path / files.BELLS / secrets.token_hex(8)
        hidden = folder.path / self.path.name  # the shim takes down a bell without a listener, so we listen first
        os.mkfifo(hidden, 0o600)
        self.descriptor = os.open(hidden, os.O_RDONLY | os.O_NONBLOCK)
        self._write = os.open(hidden, os.O_WRONLY | os.O_NONBLOCK)
        self.connected = False
        hidden.rename(self.path)
        folder.tell(files.BELL)

    def hear(self) -> None:
        """Take what has been rung."""
        with suppress(BlockingIOError):
            if files.CONNECTED in os.read(self.descriptor, 65536):
                self.let_go()

    def let_go(self) -> None:
        """Let the shim alone hold the writing end; where that has died, the bell is readable from now on."""
        if not self.connected:
            os.close(self._write)
            self.connected = True

    def close(self) -> None:
        """Take it down."""
        with suppress(OSError):
            self.path.unlink()
        self.let_go()
        os.close(self.descriptor)
