"""A look at the whole of a log: where in it does what is stored end, and what is missing in between?

While the log has its first byte, the counts of the cursor say it. Docker's driver `local` rotates: of a long log the
beginning is gone, and an offset from the first byte that is left says nothing. Then the end of what is stored, some
KiB of each stream, is searched for, and among several places the times decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from botdock.model import LogGap, Stream
from botdock_engine_docker.entries import EntryReader, LineMender
from botdock_engine_docker.tails import SKEW_NS, SLACK_NS, TailSearch, fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.model import LogCursor
    from botdock_engine_docker.entries import Entry

WINDOW_NS = 60_000_000_000
"""Entries that are older than the end of what is stored by more are not read again; a clock may be set back by less."""


@attrs.frozen(kw_only=True)
class Plan:
    """How to read a log from the end of what is stored.

    Attributes:
        skip: Bytes of each stream that are stored.
        since_ns: Where to begin; nanoseconds since the epoch, 0 for the log's beginning.
        first: The entry with which that begins, if one is there; with another one, the log was rotated since.
        began_ns: For `LineMender`.
        keeps: The same.
        lost: What is gone.
        proof: The end of what is stored, where it is taken from the counts that the log has its first byte: not before
            that was seen is anything known to be new.
    """

    skip: Mapping[Stream, int]
    since_ns: int = 0
    first: Entry | None = None
    began_ns: int = 0
    keeps: bool = False
    lost: tuple[LogGap, ...] = ()
    proof: LogCursor | None = None


def plan_by_count(cursor: LogCursor) -> Plan:
    """Return the plan for a log that has its first byte."""
    skip = {Stream.STDOUT: cursor.stdout, Stream.STDERR: cursor.stderr}
    if cursor.first_ns and cursor.last_ns and any(skip.values()):
        return Plan(skip=skip, proof=cursor, began_ns=cursor.first_ns + SKEW_NS)
    return Plan(skip=skip)


class Proof:
    """Checks whether what is stored ends in the log where the counts say.

    Args:
        cursor: The end of what is stored.
    """

    def __init__(self, cursor: LogCursor) -> None:
        self.tails = {Stream.STDOUT: cursor.stdout_tail, Stream.STDERR: cursor.stderr_tail}
        self._began_ns = cursor.first_ns + SLACK_NS
        self._last_ns = cursor.last_ns + SLACK_NS
        self._seen = {stream: bytearray() for stream in Stream}

    def begins(self, time_ns: int) -> bool:
        """Whether a log whose first entry is of that time has its first byte."""
        return time_ns <= self._began_ns

    def passed(self, time_ns: int) -> bool:
        """Whether nothing that is stored is as new as that."""
        return time_ns > self._last_ns + SKEW_NS

    def fits(self, stream: Stream, time_ns: int, data: bytes, left: int) -> bool:
        """Whether an entry fits of which at most `left` bytes are stored; those far from the end need not be shown."""
        seen, tail = self._seen[stream], self.tails[stream]
        seen += data[:left]
        if len(data) < left:
            del seen[: max(0, len(seen) - len(tail))]
            return not self.passed(time_ns)
        return not tail or (time_ns <= self._last_ns and fits(bytes(seen[-len(tail) :]), tail))


class Look:
    """Goes once through all of a log that the engine still has, and keeps next to nothing of it.

    Args:
        cursor: The end of what is stored.
    """

    def __init__(self, cursor: LogCursor) -> None:
        self._last_ns = cursor.last_ns
        self._began_ns = cursor.first_ns + SLACK_NS
        self._edge_ns = cursor.first_ns + SKEW_NS  # two files of 1 MiB, the smallest, take longer to be written
        self._since_ns = max(0, cursor.last_ns - WINDOW_NS)
        self._mender = LineMender(began_ns=self._edge_ns)
        self._entries = EntryReader(self._mender)
        self.passed = False
        """Whether what comes is so much later than what is stored that nothing can be learned from it."""
        self._recent: Entry | None = None
        """The first entry of the window."""
        self._before = dict.fromkeys(Stream, 0)
        """Bytes before the window."""
        self._searches = {
            Stream.STDOUT: TailSearch(cursor.stdout_tail, cursor.stdout, cursor.last_ns),
            Stream.STDERR: TailSearch(cursor.stderr_tail, cursor.stderr, cursor.last_ns),
        }

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the log."""
        for entry in self._entries.feed(piece):
            stream, time_ns, data = entry
            if time_ns < self._since_ns:
                self._before[stream] += len(data)
            elif self._recent is None:
                self._recent = entry
            self._searches[stream].add(time_ns, data)
            self.passed = self.passed or time_ns > self._last_ns + SLACK_NS + SKEW_NS

    def finish(self, *, patient: bool) -> Plan | None:
        """Return the plan; None for a look that should be repeated.

        What is attached to a container may be a little ahead of its log.

        Args:
            patient: Whether to wait for a log that may not have caught up.
        """
        for search in self._searches.values():
            search.finish()
        ends = self._ends()
        if patient and any(self._may_be_behind(stream) for stream, end in ends.items() if end is None):
            return None
        found = any(end is not None and self._searches[stream].count for stream, end in ends.items())
        skip, gaps = {}, []
        for stream, end in ends.items():
            skip[stream], loses = self._judge(stream, end, found=found)
            until_ns = max(self._first_ns, self._last_ns)
            gaps += [LogGap(stream=stream, size=None, since_ns=self._last_ns, until_ns=until_ns)] if loses else []
        return self._plan(skip, tuple(gaps))

    @property
    def _first_ns(self) -> int:
        """Time of the first entry that is left; 0 when the log is empty."""
        return self._entries.first[1] if self._entries.first else 0

    def _ends(self) -> dict[Stream, int | None]:
        """Return where what is stored of each stream ends, as far as that is certain."""
        owner = min(Stream, key=lambda stream: self._distance(self._searches[stream]))
        return {stream: self._end(search, last=stream is owner) for stream, search in self._searches.items()}

    def _distance(self, search: TailSearch) -> int:
        """Return how far in time the best place of a stream is from the last stored byte: that is of one stream."""
        place = search.whole.nearest or search.partial.nearest
        return abs(place.time_ns - self._last_ns) if place else 2 * SLACK_NS + self._last_ns

    def _end(self, search: TailSearch, *, last: bool) -> int | None:
        if search.count == 0:
            return 0
        if 0 < self._first_ns <= self._began_ns and (search.at_count or not search.tail):
            return search.count
        whole, partial = search.whole, search.partial
        # Where the other stream had the last byte, a place that is later than it is less likely than any earlier.
        places = (whole.nearest, partial.nearest) if last else (whole.before, whole.nearest, partial.before)
        return next((place.offset for place in places if place), None)

    def _may_be_behind(self, stream: Stream) -> bool:
        return (
            self._searches[stream].newest_ns <= self._last_ns + SKEW_NS and self._first_ns <= self._last_ns + SLACK_NS
        )

    def _judge(self, stream: Stream, end: int | None, *, found: bool) -> tuple[int, bool]:
        """Return how many bytes are stored of what the log has, and whether something between may be lost."""
        search = self._searches[stream]
        overlaps = found or self._first_ns < self._last_ns - SLACK_NS
        if end is not None:
            return end, not search.count and not overlaps
        if search.continues:
            return search.older, False
        if search.oldest_ns and search.oldest_ns < self._last_ns - SLACK_NS:
            return search.older, True
        # All that is stored of it is older than the log. What followed it is there, if the log begins before that: each
        # stream is logged at its own pace, so lines of the other one that are stored may stand behind what is lost.
        return 0, self._first_ns > (self._last_ns if found else 0)

    def _plan(self, skip: dict[Stream, int], lost: tuple[LogGap, ...]) -> Plan:
        plan = Plan(skip=skip, first=self._entries.first, began_ns=self._edge_ns, keeps=self._mender.keeps, lost=lost)
        parts_a_line = self._mender.settled_ns >= self._since_ns  # the window may begin behind what lacks its newline
        if parts_a_line or any(skip[stream] < self._before[stream] for stream in Stream):
            return plan
        return attrs.evolve(
            plan,
            skip={stream: skip[stream] - self._before[stream] for stream in Stream},
            since_ns=self._since_ns,
            first=self._recent,
            began_ns=self._edge_ns if self._recent is self._entries.first else 0,
        )
