"""The log streams of the fake engine, and its events."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence

from botdock.model import EngineEvents, LogChunk, LogCursor, LogGap, LogStream
from botdock_testing.fake_container import FakeContainer, World


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
        has_fileno: bool,
    ) -> None:
        self._container = container
        self._world = container.world
        self._stop_at = None if follow else len(container.log)
        begins = {stream: rotation.begin(cursor) for stream, rotation in container.rotations.items()}
        self._skip = {stream: skip for stream, (skip, _) in begins.items()}
        self._lost = tuple(gap for _, gap in begins.values() if gap)
        self._has_fileno = has_fileno
        self._next = 0
        self._ended = False
        self._closed = False
        self._pipe: tuple[int, int] | None = None
        self._poked = False
        self._world.listeners.add(self._poke)

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
            self._world.notify()

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
        return self._at_end or self._next < len(self._container.log)

    def _take(self) -> list[LogChunk]:
        if self._closed or self._ended:
            return []
        chunks = [self._cut(chunk) for chunk in self._container.log[self._next : self._stop_at]]
        self._next += len(chunks)
        self._ended = self._at_end
        return [chunk for chunk in chunks if chunk.data]

    def _cut(self, chunk: LogChunk) -> LogChunk:
        skipped = min(self._skip[chunk.stream], len(chunk.data))
        self._skip[chunk.stream] -= skipped
        return LogChunk(chunk.stream, chunk.data[skipped:], chunk.time_ns)


class FakeEvents(EngineEvents):
    """Tells of each container with certain selectors that ends from now on."""

    def __init__(self, world: World, selectors: Mapping[str, str]) -> None:
        self._world = world
        self._selectors = selectors
        self._ends: deque[str] = deque()
        self._closed = False
        with world.changed:
            world.watchers.add(self._note)

    def read(self, timeout: float) -> Sequence[str]:
        """Return whose end has come; see `EngineEvents.read`."""
        with self._world.changed:
            self._world.wait_until(lambda: bool(self._ends) or self._closed, timeout)
            told = list(self._ends)
            self._ends.clear()
            return told

    def close(self) -> None:
        """Wake a reader."""
        with self._world.changed:
            self._closed = True
            self._world.watchers.discard(self._note)
            self._world.notify()

    def _note(self, container: FakeContainer) -> None:
        if self._selectors.items() <= container.info.labels.items():
            self._ends.append(container.container_id)
            self._world.notify()
