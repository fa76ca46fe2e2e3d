"""Time: the end of an operation on the monotonic clock, and pauses between tries that grow."""

from __future__ import annotations

import time

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries."""
SHORTEST = 0.001
"""Seconds; a timeout of 0 would mean 'do not wait at all' to a socket."""


class Deadline:
    """The end of an operation that may take so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def timeout(self) -> float:
        """Seconds left, for a socket: never 0."""
        return max(SHORTEST, self.left)

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0.0


class Backoff:
    """Pauses between tries, each twice as long as the one before, until a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._next = FIRST_PAUSE

    def pause(self) -> None:
        """Sleep, but not past the deadline."""
        time.sleep(min(self._next, self._deadline.left))
        self._next = min(2 * self._next, LONGEST_PAUSE)
