"""How much of a bounded wait is left."""

from __future__ import annotations

import time


class Deadline:
    """A moment on the monotonic clock.

    Args:
        timeout: Seconds from now.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._end = time.monotonic() + timeout

    @property
    def left(self) -> float:
        """Seconds until then; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raise when it has passed.

        Raises:
            TimeoutError: It has; with the seconds that there were.
        """
        if not self.left:
            raise TimeoutError(f"not done within {self.timeout:g} s")
