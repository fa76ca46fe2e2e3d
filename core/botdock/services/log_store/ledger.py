"""What a whole log holds, while it grows at one end and goes at the other."""

from __future__ import annotations

import threading
from pathlib import Path

from botdock.services.log_store.layout import read_document, seal_name
from botdock.services.log_store.retention import remove_segment
from botdock.services.log_store.tally import Tally


class Ledger:
    """The counts of the segments that retention has removed, of those that are closed, and of the newest.

    Safe to use from several threads; `current` grows without its lock, since only one of them adds to it.

    Args:
        removed: What was in the segments that are gone.
        removed_segments: How many those are.
        closed: What is in those that the log no longer goes on in.
        current: What is in the newest, which grows.
    """

    def __init__(self, *, removed: Tally, removed_segments: int, closed: Tally, current: Tally) -> None:
        self.removed_segments = removed_segments
        self._removed = removed
        self._closed = closed
        self._current = current
        self._lock = threading.Lock()
        self.ended = False
        """Whether it is written down what the log holds: nothing of it may go any more."""

    def go_on(self, following: Tally) -> None:
        """Close the newest segment, and begin another."""
        with self._lock:
            self._closed.add(self._current)
            self._current = following

    def kept(self) -> Tally:
        """Return what is there."""
        with self._lock:
            return sum_of(self._closed, self._current)

    def removed(self) -> Tally:
        """Return what was there and is gone."""
        with self._lock:
            return sum_of(self._removed)

    def whole(self) -> Tally:
        """Return both together."""
        with self._lock:
            return sum_of(self._removed, self._closed, self._current)

    def remove_oldest(self, directory: Path) -> bool:
        """Remove the oldest segment, if it is sealed and the log has not ended; return whether it was.

        One thread at a time may call it.

        Raises:
            OSError: The disk refused.
        """
        if self.ended:
            return False
        seal = read_document(directory / seal_name(self.removed_segments))
        if seal is None:
            return False
        tally = Tally.from_json(seal)
        remove_segment(directory, self.removed_segments, sum_of(self.removed(), tally))
        with self._lock:
            self._closed.add(tally, sign=-1)
            self._removed.add(tally)
            self.removed_segments += 1
        return True


def sum_of(*tallies: Tally) -> Tally:
    """Return what all of them hold together."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
