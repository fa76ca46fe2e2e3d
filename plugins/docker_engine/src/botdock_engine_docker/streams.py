"""Streams of logs over one connection after the other, of which the first is attached to the container.

In a log, the end of a container and a connection that was cut look the same: so the end is asked for.
"""

from __future__ import annotations

import json
import selectors
import time
from abc import abstractmethod
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.model import ContainerState, LogChunk, LogStream
from botdock_engine_docker.containers import read_status
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdock.model import ContainerStatus
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire

SETTLE = 10.0
"""Seconds that a daemon under load may take to notice that a container has ended whose log has; idle: 20 to 60 ms."""
APART = 1.0
"""Seconds between the end of the log and that of the container, by the daemon's clock, from which on it was cut."""


class Ending:
    """Waits for the end of a container whose log has ended, without ever blocking.

    A container that ended when its log did ended well. One that goes on, or that went on for a while, was cut off: its
    log has to be read again from where it stands.

    Args:
        ask: Asks `wait` or `json` about the container, on a connection of its own.
        on_status: Told how it ended, so that it need not be asked again.
        call: For messages.
    """

    def __init__(self, ask: Callable[[str], Wire], on_status: Callable[[ContainerStatus], None], call: Call) -> None:
        self._ask = ask
        self._on_status = on_status
        self._call = call
        self._log_ended = 0.0
        self._wire: Wire | None = None
        self._watchdog: Timer | None = None
        self._interrupted = False
        self._inspected: bytes | None = None

    def begin(self) -> Wire:
        """Ask for the end, and return the connection on which it will be told; a timer bounds the wait."""
        self._log_ended = time.time()
        self._wire = self._ask("wait")
        self._watchdog = Timer(SETTLE, self._interrupt)
        self._watchdog.daemon = True
        self._watchdog.start()
        return self._wire

    def step(self, wire: Wire, timeout: float) -> Wire | None:
        """Read from the current connection; return the one to go on with, or None when the container has ended.

        Raises:
            ContainerError: The log was cut off before the container's end.
        """
        try:
            data = wire.receive(timeout)
        except ContainerNotFoundError:
            return None  # it was removed already
        except ContainerError:
            if self._interrupted:
                raise self._cut() from None
            raise
        if self._inspected is not None:
            return self._inspect(wire, data)
        if wire.ended:
            self._inspected = b""
            self._wire = self._ask("json")
        return self._wire

    def cancel(self) -> None:
        """Wait no longer."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _interrupt(self) -> None:
        """Wake the reader, which then finds the connection broken."""
        self._interrupted = True
        if self._wire is not None:
            self._wire.interrupt()

    def _inspect(self, wire: Wire, data: bytes) -> Wire | None:
        self._inspected = (self._inspected or b"") + data
        if not wire.ended:
            return wire
        with translated(self._call):
            inspected: Mapping[str, Any] = json.loads(self._inspected)
            status = read_status(inspected)
        if status.state is not ContainerState.EXITED or self._outlived_its_log(status):
            raise self._cut()
        self.cancel()
        self._on_status(status)
        return None

    def _outlived_its_log(self, status: ContainerStatus) -> bool:
        return status.finished_at is not None and status.finished_at.timestamp() - self._log_ended > APART

    def _cut(self) -> ContainerError:
        return self._call.error(ContainerError, "the log ended while the container went on")


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
        """Let go of the connection, and wake the reader."""
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


class AttachStream(WireStream):
    """The live streams of one container.

    Args:
        wire: The connection that is attached to it.
        ending: Tells when the container has ended.
        call: For messages.
    """

    def __init__(self, wire: Wire, ending: Ending, call: Call) -> None:
        super().__init__(wire, ending)
        self._call = call
        self._frames = FrameDecoder()
        self._drained = False

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._drained:
            self._ended = self._container_has_ended(timeout)
            return ()
        piece, time_ns = self._wire.receive(timeout), time.time_ns()
        with translated(self._call):
            runs = self._frames.feed(piece)
        if self._wire.ended:
            self._finish()
        joined = ((stream, b"".join(payloads)) for stream, payloads in runs)
        return [LogChunk(stream, data, time_ns) for stream, data in joined if data]

    def _finish(self) -> None:
        if self._frames.within_frame:
            raise self._call.error(ContainerError, "the stream was cut in the middle of a frame")
        self._drained = True
        self._await_end()
