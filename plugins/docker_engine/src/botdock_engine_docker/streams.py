"""What the two streams of logs share: connections that follow each other, and one descriptor for all of them."""

from __future__ import annotations

import selectors
from abc import abstractmethod
from threading import Lock
from typing import TYPE_CHECKING

from botdock.errors import ContainerError
from botdock.model import LogStream
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock.model import LogChunk
    from botdock_engine_docker.ending import Ending
    from botdock_engine_docker.wire import Wire


class WireStream(LogStream):
    """A stream of logs over one connection after the other.

    Its descriptor is that of a selector which watches the current connection; so it stays the same, is readable when
    the connection is, and one loop can serve many streams. Reading never waits for more than the current connection.

    Args:
        wire: The connection to begin with.
        ending: Tells when the container has ended.
    """

    def __init__(self, wire: Wire, ending: Ending) -> None:
        self._wire = wire
        self._ending = ending
        self._selector = selectors.DefaultSelector()
        self._watched = wire.events
        self._selector.register(wire.fileno(), wire.events)
        self._switching = Lock()
        self._closed = False
        self._ended = False
        self._received = 0
        """Bytes that came over the connections before the current one."""

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    @property
    def activity(self) -> int:
        """Bytes that have come, whatever they were."""
        return self._received + self._wire.received

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte."""
        deadline = Deadline(timeout)
        try:
            while not (self._ended or self._closed):
                chunks = self._step(deadline.left)
                self._watch_connection()
                if chunks:
                    return chunks
                if deadline.passed:
                    break
        except ContainerError:
            if not self._closed:  # else that is why
                raise
        return ()

    def fileno(self) -> int | None:
        """Return the selector's descriptor."""
        return None if self._closed else self._selector.fileno()

    def close(self) -> None:
        """Let go of the connection, and wake who reads."""
        with self._switching:
            if not self._closed:
                self._closed = True
                self._ending.cancel()
                self._wire.close()
                self._selector.close()

    @abstractmethod
    def _step(self, timeout: float) -> Sequence[LogChunk]:
        """Read once from the current connection; return what came of it."""

    def _await_end(self) -> None:
        """Begin to wait for the container's end."""
        self._switch(self._ending.begin())

    def _container_has_ended(self, timeout: float) -> bool:
        """Read once of what tells of the container's end; return whether it has come."""
        following = self._ending.step(self._wire, timeout)
        if following is not None and following is not self._wire:
            self._switch(following)
        return following is None

    def _switch(self, wire: Wire) -> None:
        """Go on with another connection."""
        with self._switching:
            if self._closed:
                wire.close()
                return
            self._selector.unregister(self._wire.fileno())
            self._received += self._wire.received + 1  # that another one follows is an event, too
            self._wire.close()
            self._wire = wire
            self._watched = wire.events
            self._selector.register(wire.fileno(), wire.events)

    def _watch_connection(self) -> None:
        """Watch for what the connection waits for, which changes once it is open."""
        if self._wire.events != self._watched:
            with self._switching:
                if not self._closed:
                    self._watched = self._wire.events
                    self._selector.modify(self._wire.fileno(), self._watched)
