"""Logs and events that break off, whichever engine they come from."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import EngineEvents, LogChunk, LogGap, LogStream

_STEP = 0.02
"""Seconds of one wait for what may be cut meanwhile."""


class FaultyStream(LogStream):
    """Another log, that breaks when it is told to.

    Its descriptor watches over that of the other one, and over the break.

    Args:
        stream: Where its bytes come from.
        container_id: Whose they are.
        breaks_after: After how many of them it breaks; None for never.
        before_read: Called before each `read`.
        on_close: Called once it is closed.
    """

    def __init__(
        self,
        stream: LogStream,
        container_id: str,
        breaks_after: int | None,
        before_read: Callable[[], None],
        on_close: Callable[[FaultyStream], None],
    ) -> None:
        self._stream = stream
        self._container_id = container_id
        self._left = breaks_after
        self._before_read = before_read
        self._on_close = on_close
        self._ended = self._closed = False
        self._lock = Lock()
        self._watch: tuple[select.epoll, int] | None = None

    @property
    def ended(self) -> bool:
        """Whether the end has been read."""
        return self._ended

    @property
    def lost(self) -> Sequence[LogGap]:
        """What the engine has forgotten behind the cursor."""
        return self._stream.lost

    @property
    def activity(self) -> int:
        """Of the other log."""
        return self._stream.activity

    def read(self, timeout: float) -> Sequence[LogChunk]:
        """Return what has come, up to the break; see `LogStream.read`."""
        self._before_read()
        deadline = time.monotonic() + timeout
        while not (self._closed or self._ended):
            if self._left == 0:
                raise ContainerError("the log stream broke", container_id=self._container_id)
            step = min(max(deadline - time.monotonic(), 0.0), _STEP)
            chunks = self._up_to_break(self._stream.read(step))
            self._ended = self._left != 0 and self._stream.ended
            if chunks or (self._left != 0 and time.monotonic() >= deadline):
                return chunks
        return ()

    def fileno(self) -> int | None:
        """Return a descriptor that is readable when the other one is, or at a break; None where that has none."""
        descriptor = self._stream.fileno()
        with self._lock:
            if descriptor is None or self._closed or not hasattr(select, "epoll"):
                return None
            if self._watch is None:
                self._watch = select.epoll(), os.eventfd(1 if self._left == 0 else 0)
                for watched in (descriptor, self._watch[1]):
                    self._watch[0].register(watched, select.EPOLLIN)
            return self._watch[0].fileno()

    def cut(self) -> None:
        """Break here, unless its end has been read."""
        with self._lock:
            if not self._ended:
                self._left = 0
                self._show_break()

    def close(self) -> None:
        """Close the other one too."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            watch, self._watch = self._watch, None
        self._on_close(self)
        self._stream.close()
        if watch:
            watch[0].close()
            os.close(watch[1])

    def _up_to_break(self, chunks: Sequence[LogChunk]) -> Sequence[LogChunk]:
        with self._lock:
            if self._left is None:
                return chunks
            taken = []
            for chunk in chunks:
                data = chunk.data[: self._left]
                self._left -= len(data)
                if data:
                    taken.append(LogChunk(chunk.stream, data, chunk.time_ns))
            if not self._left:
                self._show_break()
            return taken

    def _show_break(self) -> None:
        if self._watch:
            os.eventfd_write(self._watch[1], 1)


class FaultyEvents(EngineEvents):
    """Other events, that break off, or do not tell all.

    Args:
        events: Where they come from.
        breaks_after: After how many ends they break; None for never.
        loses: How many ends they do not tell of.
        before_read: Called before each `read`.
        on_close: Called once they are closed.
    """

    def __init__(
        self,
        events: EngineEvents,
        breaks_after: int | None,
        loses: int,
        before_read: Callable[[], None],
        on_close: Callable[[FaultyEvents], None],
    ) -> None:
        self._events = events
        self._left = breaks_after
        self._loses = loses
        self._before_read = before_read
        self._on_close = on_close
        self._closed = False

    def read(self, timeout: float) -> Sequence[str]:
        """Return whose end is told; see `EngineEvents.read`."""
        self._before_read()
        deadline = time.monotonic() + timeout
        while not self._closed:
            if self._left == 0:
                raise EngineUnavailableError("the events broke off")
            told = list(self._events.read(min(max(deadline - time.monotonic(), 0.0), _STEP)))
            lost = min(self._loses, len(told))
            self._loses -= lost
            told = told[lost:][: self._left]
            if self._left is not None:
                self._left -= len(told)
            if told or time.monotonic() >= deadline:
                return told
        return ()

    def cut(self) -> None:
        """Break here."""
        self._left = 0

    def close(self) -> None:
        """Close the other ones too."""
        if not self._closed:
            self._closed = True
            with suppress(Exception):
                self._on_close(self)
            self._events.close()
