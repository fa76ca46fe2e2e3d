"""A log stream that delivers what a test puts into it."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence

from botdock.model import LogChunk, LogGap, LogStream

Step = LogChunk | Sequence[LogChunk] | BaseException
"""What one `read` does: returns a chunk, or several, or raises."""


class ScriptedStream(LogStream):
    """Takes one step with each `read`, and ends behind the last one unless it is to stay open.

    Args:
        steps: What the first reads do.
        is_open: Whether more may come behind the last step, until `end` is called.
        has_fileno: Whether there is a descriptor; one is readable exactly while there is a step or the end.
        lost: What it has missed.

    Attributes:
        reads: How often it was read.
        closed: Set when it was closed.
    """

    def __init__(
        self, *steps: Step, is_open: bool = False, has_fileno: bool = False, lost: Sequence[LogGap] = ()
    ) -> None:
        self.reads = 0
        self.closed = threading.Event()
        self._steps = deque(steps)
        self._is_open = is_open
        self._lost = tuple(lost)
        self._lock = threading.Lock()
        self._pipe = os.pipe() if has_fileno else None
        self._poked = False
        self._poke()

    @property
    def ended(self) -> bool:
        with self._lock:
            return not (self._steps or self._is_open)

    @property
    def lost(self) -> Sequence[LogGap]:
        return self._lost

    def put(self, *steps: Step) -> None:
        """Add steps."""
        with self._lock:
            self._steps.extend(steps)
            self._poke()

    def end(self) -> None:
        """Let it end behind the last step."""
        with self._lock:
            self._is_open = False
            self._poke()

    def read(self, timeout: float) -> Sequence[LogChunk]:  # noqa: ARG002 - it never waits
        with self._lock:
            self.reads += 1
            step = self._steps.popleft() if self._steps else ()
            self._poke()
        if isinstance(step, BaseException):
            raise step
        return (step,) if isinstance(step, LogChunk) else step

    def fileno(self) -> int | None:
        return self._pipe[0] if self._pipe else None

    def close(self) -> None:
        with self._lock:
            self.closed.set()
            pipe, self._pipe = self._pipe, None
            for descriptor in pipe or ():
                os.close(descriptor)

    def _poke(self) -> None:
        readable = bool(self._steps) or not self._is_open
        if self._pipe and readable is not self._poked:
            self._poked = readable
            if readable:
                os.write(self._pipe[1], b"!")
            else:
                os.read(self._pipe[0], 1)
