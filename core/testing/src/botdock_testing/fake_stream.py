"""The log stream of the fake engine."""

from __future__ import annotations

import os
from collections.abc import Sequence

from botdock.errors import ContainerError
from botdock.model import LogChunk, LogCursor, LogGap, LogStream
from botdock_testing.fake_container import FakeContainer


class FakeLogStream(LogStream):
    """Reads what a container of the fake engine has written, from a cursor on.

    Its descriptor is a pipe that holds a byte exactly while `read(0)` has something, the end among it.
    """

    def __init__(
        self,
        container: FakeContainer,
        *,
        cursor: LogCursor,
        follow: bool,
        breaks_after: int | None,
        has_fileno: bool,
    ) -> None:
        self._container = container
        self._world = container.world
        self._stop_at = None if follow else len(container.log)
        begins = {stream: rotation.begin(cursor) for stream, rotation in container.rotations.items()}
        self._skip = {stream: skip for stream, (skip, _) in begins.items()}
        self._lost = tuple(gap for _, gap in begins.values() if gap)
        self._left = breaks_after
        self._has_fileno = has_fileno
        self._next = 0
        self._ended = False
        self._closed = False
        self._pipe: tuple[int, int] | None = None
        self._poked = False
        self._world.listeners.add(self._poke)
        self._world.cuts.add(self._cut_off)

    @property
    def ended(self) -> bool:
        """Whether the end has been read."""
        return self._ended

    @property
    def lost(self) -> Sequence[LogGap]:
        """What the engine has forgotten behind the cursor."""
        return self._lost

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come; see `LogStream.read`."""
        with self._world.changed:
            self._world.wait_until(self._has_something, timeout)
            try:
                return self._take()
            finally:
                self._poke()

    def fileno(self) -> int | None:
        """Return the reading end of the pipe, or None where the engine was told to have none."""
        with self._world.changed:
            if not self._has_fileno or self._closed:
                return None
            if self._pipe is None:
                self._pipe = os.pipe()
                self._poke()
            return self._pipe[0]

    def close(self) -> None:
        """Close the pipe and wake a reader."""
        with self._world.changed:
            if self._closed:
                return
            self._closed = True
            pipe, self._pipe = self._pipe, None
            for descriptor in pipe or ():
                os.close(descriptor)
            self._world.listeners.discard(self._poke)
            self._world.cuts.discard(self._cut_off)
            self._world.notify()

    def _cut_off(self) -> None:
        """Break here."""
        if not self._ended:
            self._left = 0

    def _poke(self) -> None:
        if self._pipe is None or self._poked is self._has_something():
            return
        self._poked = not self._poked
        if self._poked:
            os.write(self._pipe[1], b"!")
        else:
            os.read(self._pipe[0], 1)

    @property
    def _at_end(self) -> bool:
        if self._stop_at is not None:
            return self._next >= self._stop_at
        return self._next >= len(self._container.log) and self._container.ended

    def _has_something(self) -> bool:
        if self._closed or self._ended:
            return True
        return self._left == 0 or self._at_end or self._next < len(self._container.log)

    def _take(self) -> list[LogChunk]:
        if self._closed or self._ended:
            return []
        if self._left == 0:
            raise ContainerError("the log stream broke", engine="fake", container_id=self._container.container_id)
        chunks = [self._cut(chunk) for chunk in self._container.log[self._next : self._stop_at]]
        self._next += len(chunks)
        chunks = self._until_break([chunk for chunk in chunks if chunk.data])
        self._ended = self._left != 0 and self._at_end
        return chunks

    def _cut(self, chunk: LogChunk) -> LogChunk:
        skipped = min(self._skip[chunk.stream], len(chunk.data))
        self._skip[chunk.stream] -= skipped
        return LogChunk(chunk.stream, chunk.data[skipped:], chunk.time_ns)

    def _until_break(self, chunks: list[LogChunk]) -> list[LogChunk]:
        if self._left is None:
            return chunks
        taken = []
        for chunk in chunks:
            piece = chunk.data[: self._left]
            self._left -= len(piece)
            if piece:
                taken.append(LogChunk(chunk.stream, piece, chunk.time_ns))
        return taken
