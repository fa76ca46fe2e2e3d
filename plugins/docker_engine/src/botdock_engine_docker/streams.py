"""Streams of logs over one connection after the other, of which the first is attached to the container.

In a log, the end of a container and a connection that was cut look the same: so the end is asked for.
"""

from __future__ import annotations

import json
import selectors
import time
from abc import abstractmethod
from threading import Lock, Timer
from typing import TYPE_CHECKING

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.model import ContainerState, LogChunk, LogStream
from botdock_engine_docker.client import ahead, path
from botdock_engine_docker.containers import read_status
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire

WAIT, TIME, INSPECT = "wait", "time", "inspect"
"""What is asked at the end of a log: of a daemon that has another clock, its time too."""
SETTLE = 10.0
"""Seconds that a daemon under load may take to notice that a container has ended whose log has; idle: 20 to 60 ms."""


class Source:
    """What the streams of one container ask of the daemon, each time on a connection of its own.

    Args:
        client: Speaks to the daemon.
        call: Whose streams, for messages, and how long an answer may take to begin.
    """

    def __init__(self, client: DockerClient, call: Call) -> None:
        self.call = call
        self._client = client

    def open(self, method: str, what: str, **headers: str) -> Wire:
        """Ask, and wait for the answer to begin.

        Raises:
            ContainerError: It does not, or it is a refusal.
        """
        return self._client.open(self.call, method, self._path(what), headers=headers)

    def ask(self, method: str, what: str) -> Wire:
        """Ask, and leave the answer to the reader."""
        return self._client.ask(self.call, method, self._path(what))

    def ask_time(self) -> Wire:
        """Ask for what has the daemon's time in it."""
        return self._client.ask(self.call, "GET", "/info")

    @property
    def is_far(self) -> bool:
        """Whether the daemon's clock is not ours."""
        return self._client.is_far

    def ahead_ns(self) -> int:
        """Return by how many nanoseconds our clock is ahead of the daemon's."""
        return self._client.ahead_ns(self.call)

    def _path(self, what: str) -> str:
        return path("/containers/{}", self.call.container_id or "") + what


class WireStream(LogStream):
    """A stream of logs over one connection after the other.

    Its descriptor is that of a selector which watches the current connection; so it stays the same, is readable when
    the connection is, and one loop can serve many streams. Reading never waits for more than the current connection.

    A log that ends after its container, by the clock, is whole: 44 on a busy machine ended 29 to 464 ms after it. One
    that ended before was cut off, and has to be read again from where it stands.

    Args:
        wire: The connection to begin with.
        source: Opens the others.
    """

    def __init__(self, wire: Wire, source: Source) -> None:
        self._wire = wire
        self._source = source
        self._call = source.call
        self._selector = selectors.DefaultSelector()
        self._watched = wire.events
        self._selector.register(wire.fileno(), wire.events)
        self._switching = Lock()
        self._closed = self._ended = self._interrupted = False
        self._received = 0
        """Bytes that came over the connections before the current one."""
        self._log_ended = 0.0
        """By the monotonic clock: the wall clock may be set before the container ends."""
        self._ahead = 0.0
        """Seconds by which our clock is ahead of the daemon's, at most."""
        self._watchdog = Timer(SETTLE, self._interrupt)
        self._asked, self._said = "", b""
        """What the daemon was asked once the log had ended, and what has come of the answer."""
        self._asked_time = 0.0

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
                self._watchdog.cancel()
                self._wire.close()
                self._selector.close()

    @abstractmethod
    def _step(self, timeout: float) -> Sequence[LogChunk]:
        """Read once from the current connection; return what came of it."""

    def _await_end(self) -> None:
        """Begin to wait for the container's end; a timer bounds the wait."""
        self._log_ended = time.monotonic()
        self._asked, self._said = WAIT, b""
        self._switch(self._source.ask("POST", "/wait"))
        self._watchdog.cancel()
        self._watchdog = Timer(SETTLE, self._interrupt)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _interrupt(self) -> None:
        """Wake the reader, which then finds the connection broken."""
        self._interrupted = True
        self._wire.interrupt()

    def _container_has_ended(self, timeout: float) -> bool:
        """Read once of what tells of the container's end; return whether it has come.

        Raises:
            ContainerError: The log was cut off before the container's end.
        """
        try:
            data = self._wire.receive(timeout)
        except ContainerNotFoundError:
            return True  # it was removed already
        except ContainerError:
            if self._interrupted:
                raise self._cut() from None
            raise
        self._said += data
        if not self._wire.ended:
            return False
        said, self._said = self._said, b""
        if self._asked == WAIT and self._source.is_far:
            self._asked, self._asked_time = TIME, time.time()
            self._switch(self._source.ask_time())
        elif self._asked == INSPECT:
            return self._has_ended_well(said)
        else:
            if self._asked == TIME:
                with translated(self._call):  # at most: so a log that was cut is not taken for a whole one
                    self._ahead = ahead(json.loads(said), self._asked_time, time.time())[1]
            self._asked = INSPECT
            self._switch(self._source.ask("GET", "/json"))
        return False

    def _has_ended_well(self, inspected: bytes) -> bool:
        with translated(self._call):
            status = read_status(json.loads(inspected))
        log_ended = time.time() - (time.monotonic() - self._log_ended) - self._ahead
        went_on = status.finished_at is not None and status.finished_at.timestamp() > log_ended
        if status.state is not ContainerState.EXITED or went_on:
            raise self._cut()
        return True

    def _cut(self) -> ContainerError:
        return self._call.error(ContainerError, "the log ended while the container went on")

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
    """The live streams of one container that has not been started."""

    def __init__(self, source: Source) -> None:
        wire = source.open("POST", "/attach?stream=1&stdout=1&stderr=1", Connection="Upgrade", Upgrade="tcp")
        super().__init__(wire, source)
        self._ahead_ns = source.ahead_ns()
        """The times of a log are the daemon's: by them, what is stored is found again."""
        self._frames = FrameDecoder()
        self._drained = False

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._drained:
            self._ended = self._container_has_ended(timeout)
            return ()
        piece, time_ns = self._wire.receive(timeout), time.time_ns() - self._ahead_ns
        with translated(self._call):
            runs = self._frames.feed(piece)
        if self._wire.ended:
            if self._frames.within_frame:
                raise self._call.error(ContainerError, "the stream was cut in the middle of a frame")
            self._drained = True
            self._await_end()
        joined = ((stream, b"".join(payloads)) for stream, payloads in runs)
        return [LogChunk(stream, data, time_ns) for stream, data in joined if data]
