"""How a followed log comes: whether the kubelet's follower may have lost its way, of which it tells nothing.

Measured on Kubernetes 1.32, which looks every 10 s whether a file is over 10 MiB and then begins a new one:

- A follower that is still in one file when the next two are there goes on with the newest, and may give that twice.
  350,000 lines of 1 KiB in 35 s to a reader of 5 MB/s: 107,328 lines came, then those from the 319,168th on.
- A follower that was opened on a long file, and had not read it to its end when a new one was begun, reads it to its
  end and waits there, until the container ends.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botdock_engine_kubernetes.entries import NANO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock_engine_kubernetes.entries import Entry

QUIET = 2.0
"""Seconds without a byte after which a connection is given up that may wait at the wrong place."""
PAUSE = 0.25
"""Seconds without a byte after which a follower had come to the end of a file, most likely."""
LONG = 1024 * 1024
"""Bytes that came before the first pause: then a file may have been rotated before it was read."""
LEAP_NS = 2_000_000_000
"""The least that is leapt over: a file lives longer, for the kubelet looks for long ones every few seconds."""
SKEW_NS = 50_000_000
"""Two neighbouring entries may be so far from the order of their times: each stream has its own hand."""
BEHIND_NS = 3_000_000_000
"""By so much a follower is late that could be leapt over; the clocks of a cluster differ by less."""


class Flow:
    """Watches one connection. Its `bound` ends the reading of one that may wait at the wrong place, or is dead.

    Args:
        bound: The timeout that the connection is read within.
        opened_ns: When the log was asked for, nanoseconds since the epoch by the cluster's clock; 0 for not known.
    """

    def __init__(self, bound: asyncio.Timeout, opened_ns: int) -> None:
        self._bound = bound
        self._opened_ns = opened_ns
        self._began_ns = self._came_ns = self._waits_since_ns = time.monotonic_ns()
        self._came = 0
        self._is_certain = self._has_ended = False
        self._is_waiting = True
        self._last_ns = self._last_came_ns = 0

    @property
    def is_behind(self) -> bool:
        """Whether the last entry came so late that what followed it may have been leapt over."""
        return self._opened_ns + self._last_came_ns - self._began_ns - self._last_ns > BEHIND_NS

    def come(self, size: int) -> None:
        """Note that bytes came; what is done with them takes no time of the connection's."""
        self._came_ns = time.monotonic_ns()
        if self._came_ns - self._waits_since_ns > PAUSE * NANO:
            self._is_certain = True  # a follower that waits at the wrong place has nothing more to give
        self._came += size
        self._is_waiting = False
        self._bound.reschedule(None)

    def wait(self) -> None:
        """Note that more is waited for."""
        self._waits_since_ns = time.monotonic_ns()
        self._is_waiting = True
        self._set_bound()

    def end(self) -> None:
        """Note that the container has ended: what is still to come comes without a pause."""
        if not self._has_ended:
            self._has_ended = True
            if self._is_waiting:
                self._set_bound()

    def split(self, entries: Sequence[Entry]) -> int:
        """Return how many of the entries that came can be trusted.

        Before the next one, a file may have been leapt over: it is much later than the one before, and came not so much
        later; and was written after the log was opened, for a file that is open is read to its end. Or it is earlier
        than the one before: it has come already.
        """
        for number, (time_ns, _) in enumerate(entries):
            later_ns = time_ns - self._last_ns
            came_soon = self._came_ns - self._last_came_ns < later_ns // 2
            leaps = later_ns > LEAP_NS and came_soon and time_ns > self._opened_ns - BEHIND_NS
            if self._last_ns and (later_ns < -SKEW_NS or leaps):
                return number
            self._last_ns, self._last_came_ns = time_ns, self._came_ns
        return len(entries)

    def _set_bound(self) -> None:
        if self._has_ended or (self._came > LONG and not self._is_certain):
            self._bound.reschedule(asyncio.get_running_loop().time() + QUIET)


def begun_at(date: str) -> int:
    """Return when an answer was begun by the server's clock, nanoseconds since the epoch; 0 where it does not say."""
    try:
        return int(parsedate_to_datetime(date).timestamp()) * NANO
    except ValueError:
        return 0
