"""The output of a running container, from the moment it starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdock.errors import ContainerError
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


class End:
    """Tells the end of a container's log from a connection that was cut.

    Both look the same: the stream ends. A container that still runs a while later was cut off (or closed its own
    streams, and then reading its log once more does no harm).
    """

    def __init__(self, has_ended: Callable[[float], bool], call: Call) -> None:
        self._has_ended = has_ended
        self._call = call
        self._deadline: Deadline | None = None

    def confirm(self, timeout: float) -> bool:
        """Return whether the container has ended, waiting at most `timeout` seconds.

        Raises:
            ContainerError: It goes on, so the stream was cut.
        """
        deadline = self._deadline = self._deadline or Deadline(SETTLE)
        if self._has_ended(min(timeout, deadline.left)):
            return True
        if deadline.passed:
            raise self._call.error(ContainerError, "the stream ended while the container goes on")
        return False


class AttachStream(LogStream):
    """What a container writes, as it comes; opened before the container starts."""

    def __init__(self, wire: Wire, end: End, call: Call) -> None:
        self._wire = wire
        self._end = end
        self._call = call
        self._frames = FrameDecoder()
        self._joiner = Joiner()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the end of the log has been read."""
        return self._ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, waiting at most `timeout` seconds for the first byte."""
        deadline = Deadline(timeout)
        while not (self._ended or self._wire.closed):
            if self._wire.ended:
                self._finish(deadline.left)
            elif chunks := self._decode(self._wire.receive(deadline.left)):
                return chunks
            if deadline.passed:
                break
        return ()

    def fileno(self) -> int | None:
        """Return the descriptor of the connection."""
        return None if self._wire.closed else self._wire.fileno()

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    def _decode(self, piece: bytes) -> Sequence[LogChunk]:
        if not piece:
            return ()
        now = time.time_ns()
        with translated(self._call):
            for stream, payload in self._frames.feed(piece):
                self._joiner.add(stream, payload, now)
        return self._joiner.take()

    def _finish(self, timeout: float) -> None:
        if self._frames.within_frame:
            raise self._call.error(ContainerError, "the stream was cut in the middle of a frame")
        self._ended = self._end.confirm(timeout)
