"""Whether an execution is under way, with some patience for the moment in which a supervisor is replaced."""

from __future__ import annotations

import time
from pathlib import Path

from botdock.executions._files import OUTCOME, SUPERVISOR, is_waiting
from botdock.executions._lease import holder_lives

TAKEOVER = 15.0
"""Seconds that a supervisor has to go on where the one before it stopped."""


class Liveness:
    """Looks at executions, and remembers when each was last seen alive.

    Args:
        home: The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[str, float] = {}

    def is_alive(self, directory: Path) -> bool:
        """Tell whether the execution in this folder is under way."""
        waits, held = is_waiting(directory), holder_lives(directory)
        if (directory / OUTCOME).exists():
            self._seen.pop(directory.name, None)
            return False
        now = time.monotonic()
        seen = self._seen.setdefault(directory.name, now)
        if waits or held:
            self._seen[directory.name] = now
            return True
        return now - seen < TAKEOVER and (self._home / SUPERVISOR).exists()
