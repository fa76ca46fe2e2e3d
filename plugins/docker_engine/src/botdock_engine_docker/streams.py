"""What the two streams of logs share: connections that follow each other, and the end of a container."""

from __future__ import annotations

import selectors
import time
from abc import abstractmethod
from threading import Lock
from typing import TYPE_CHECKING

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.model import LogStream
from botdock_engine_docker.deadline import Deadline
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder, Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdock.model import LogChunk
    from botdock_engine_docker.refusals import Call
    from botdock_engine_docker.wire import Wire

SETTLE = 2.0
"""Seconds that a container may take to end after its streams have; measured: 20 to 60 ms."""


class WireStream(LogStream):
    """A stream of logs over one connection after the other.

    Its descriptor is that of a selector which watches the current connection; so it stays the same, is readable when
    the connection is, and one loop can serve many streams.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._selector = selectors.DefaultSelector()
        self._selector.register(wire.fileno(), selectors.EVENT_READ)
        self._switching = Lock()
        self._closed = False
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte."""
        deadline = Deadline(timeout)
        try:
            while not (self._ended or self._closed):
                if chunks := self._step(deadline.left):
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
                self._wire.close()
                self._selector.close()

    @abstractmethod
    def _step(self, timeout: float) -> Sequence[LogChunk]:
        """Read once; return what came of it."""

    def _switch(self, wire: Wire) -> None:
        """Go on with another connection."""
        with self._switching:
            if self._closed:
                wire.close()
                return
            self._selector.unregister(self._wire.fileno())
            self._wire.close()
            self._wire = wire
            self._selector.register(wire.fileno(), selectors.EVENT_READ)


class End:
    """Tells the end of a container's log from a connection that was cut: both look the same, the stream ends.

    So the container's end is waited for. One that has not ended a while later was cut off, and has to be read from
    where it stands; or it closed its own streams, and then reading it once more finds nothing and does no harm.

    Args:
        open_wait: Opens a connection whose answer ends when the container does.
        call: For messages.
    """

    def __init__(self, open_wait: Callable[[], Wire], call: Call) -> None:
        self._open_wait = open_wait
        self._call = call
        self._settle: Deadline | None = None

    @property
    def awaited(self) -> bool:
        """Whether the log has ended, and the container is being waited for."""
        return self._settle is not None

    def begin(self) -> Wire | None:
        """Begin to wait; None when there is no container any more."""
        self._settle = Deadline(SETTLE)
        try:
            return self._open_wait()
        except ContainerNotFoundError:
            return None

    def reached(self, wire: Wire, timeout: float) -> bool:
        """Return whether the container has ended, waiting at most `timeout` seconds.

        Raises:
            ContainerError: It went on long after its log had ended.
        """
        settle = self._settle or Deadline(SETTLE)
        wire.receive(min(timeout, settle.left))
        if settle.passed:
            raise self._call.error(ContainerError, "the stream ended while the container went on")
        return wire.ended


class AttachStream(WireStream):
    """What a container writes, as it comes; opened before the container starts."""

    def __init__(self, wire: Wire, end: End, call: Call) -> None:
        super().__init__(wire)
        self._end = end
        self._call = call
        self._frames = FrameDecoder()
        self._joiner = Joiner()

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._end.awaited:
            self._ended = self._end.reached(self._wire, timeout)
            return ()
        chunks = self._decode(self._wire.receive(timeout))
        if self._wire.ended:
            self._finish()
        return chunks

    def _decode(self, piece: bytes) -> Sequence[LogChunk]:
        now = time.time_ns()
        with translated(self._call):
            for stream, payload in self._frames.feed(piece):
                self._joiner.add(stream, payload, now)
        return self._joiner.take()

    def _finish(self) -> None:
        if self._frames.within_frame:
            raise self._call.error(ContainerError, "the stream was cut in the middle of a frame")
        if (wire := self._end.begin()) is None:
            self._ended = True
        else:
            self._switch(wire)
