"""What a container writes, as it comes; opened before the container starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdock.errors import ContainerError
from botdock_engine_docker.errors import translated
from botdock_engine_docker.frames import FrameDecoder, join
from botdock_engine_docker.streams import WireStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock.model import LogChunk
    from botdock_engine_docker.ending import Ending
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire


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
        chunks = self._decode(self._wire.receive(timeout))
        if self._wire.ended:
            self._finish()
        return chunks

    def _decode(self, piece: bytes) -> Sequence[LogChunk]:
        if not piece:
            return ()
        now = time.time_ns()
        with translated(self._call):
            return join(self._frames.feed(piece), now)

    def _finish(self) -> None:
        if self._frames.within_frame:
            raise self._call.error(ContainerError, "the stream was cut in the middle of a frame")
        self._drained = True
        self._await_end()
