"""Watches the one thread that must never be held up."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from botdock.services.logs.crew import Crew

INTERVAL = 1.0
"""Seconds between two looks, while there is anything to look at."""
MAX_LOOKS = 3
"""Looks one after the other that find it at the same call, before it counts as stuck; one may be the doing of a machine
that stood still."""


class Watch:
    """Finds out that a thread does not return from a call to a third party; looks only while the thread works.

    Args:
        where: Returns which call the thread is in, a different one for each call, or None for none.
        on_stuck: Called, in the thread that watches, with the call that does not return.
    """

    def __init__(self, where: Callable[[], Hashable], on_stuck: Callable[[], None]) -> None:
        self._where = where
        self._on_stuck = on_stuck
        self._crew = Crew("botdock-log-watch", 1)
        self._watching = False
        self._works = 0

    def work(self) -> None:
        """Note that the thread begins to work; costs next to nothing."""
        self._works += 1
        if not self._watching:
            self._watch()

    def close(self) -> None:
        """Look no more."""
        self._crew.close(0.0)

    def _watch(self, works: int = -1, call: Hashable = None, looks: int = 0) -> None:
        self._watching = True
        self._crew.submit(lambda: self._look(works, call, looks), delay=INTERVAL)

    def _look(self, works: int, call: Hashable, looks: int) -> None:
        now = self._where()
        looks = looks + 1 if now is not None and now == call else 0
        if looks >= MAX_LOOKS:
            self._on_stuck()
            now, looks = None, 0
        if self._works == works and now is None:
            self._watching = False
            if self._works == works:  # asked again: it may have begun meanwhile and seen that it was watched
                return
        self._watch(self._works, now, looks)
