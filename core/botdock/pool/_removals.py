"""Removes members that no run is to have any more: those that were used, and those that are not given out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from botdock._log import logger
from botdock._threads import Pool as Threads

if TYPE_CHECKING:
    from botdock.pool._member import Member
    from botdock.services.interfaces import Containers

_DELAY = 0.05
"""Seconds until one is removed: who waits for the end of a run has the machine for itself meanwhile."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to remove one; each pause is twice as long as the one before it."""
_AT_ONCE = 4
"""Members that are removed at once."""


class Removals:
    """Removes members soon, in threads of its own; safe to use from several threads.

    Args:
        containers: Removes their containers.
    """

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._threads = Threads("botdock-pool-remove", _AT_ONCE)
        self._lock = threading.Lock()
        self._left: set[Member] = set()
        self._closed = False

    def add(self, *members: Member) -> None:
        """Remove them soon, and try until that works; once all is closed, now, and once."""
        for member in members:
            with self._lock:
                self._left.add(member)
                closed = self._closed
            if closed:
                self._remove(member)
            else:
                self._threads.submit(partial(self._try, member, FIRST_PAUSE), delay=_DELAY)

    def close(self, timeout: float) -> None:
        """Remove now what is left, and wait for that; what is begun, at most `timeout` seconds.

        What could not be removed is a later sweep's.
        """
        with self._lock:
            self._closed = True
        self._threads.close(timeout)
        with self._lock:
            left = list(self._left)
        with ThreadPoolExecutor(2 * _AT_ONCE) as threads:
            list(threads.map(self._remove, left))

    def _try(self, member: Member, pause: float) -> None:
        if not self._remove(member):
            again = partial(self._try, member, min(2 * pause, LONGEST_PAUSE))
            self._threads.submit(again, delay=pause)

    def _remove(self, member: Member) -> bool:
        """Remove one; return whether that worked."""
        try:
            member.discard(self._containers)
        except Exception as error:  # noqa: BLE001 - a third party's engine may raise anything, and it is tried again
            bound = logger.bind(container_id=member.container.id, error=str(error))
            bound.warning("a container of the pool could not be removed yet")
            return False
        with self._lock:
            self._left.discard(member)
        return True
