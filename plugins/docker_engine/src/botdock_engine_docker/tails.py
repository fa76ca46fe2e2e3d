"""Where the end of what is stored lies in what the engine still has of a stream."""

from __future__ import annotations

import re
from bisect import bisect_left

import attrs

MASK = b"*"
"""Stands in what is stored for a byte that was masked, and so fits any."""
BATCH = 128 * 1024
"""Bytes that are searched at once."""
NO_CHANCE = 32
"""So many bytes are not alike by chance."""
SLACK_NS = 2_000_000_000
"""The time of a stored byte and that of its entry in the log differ by less: they are taken by different hands."""
SKEW_NS = 50_000_000
"""They nearly always differ by less than this."""


@attrs.frozen
class Place:
    """An end of what is stored, as it may lie in the log.

    Attributes:
        offset: Bytes of the stream before it, from the first that the engine has.
        time_ns: Of the entry that holds the last of them.
    """

    offset: int
    time_ns: int


class Places:
    """The best of many: the one whose time is nearest, and the latest of those that are not later."""

    def __init__(self, time_ns: int) -> None:
        self._time_ns = time_ns
        self.nearest: Place | None = None
        self.before: Place | None = None

    def add(self, offset: int, time_ns: int) -> None:
        """Take one into account; one that is far later than what is stored cannot be it."""
        if time_ns > self._time_ns + SLACK_NS:
            return
        if self.nearest is None or abs(time_ns - self._time_ns) <= abs(self.nearest.time_ns - self._time_ns):
            self.nearest = Place(offset, time_ns)
        if time_ns <= self._time_ns + SKEW_NS:
            self.before = Place(offset, time_ns)


class TailSearch:
    """Reads one stream of the log from the first byte that the engine has; remembers a tail's length of it at most.

    Args:
        tail: The end of what is stored.
        count: How many bytes are stored, and so where the end lies if the log still has its first byte.
        last_ns: When the last byte of either stream was seen.
    """

    def __init__(self, tail: bytes, count: int, last_ns: int) -> None:
        self.tail = tail
        self.count = count
        self.size = 0
        """Bytes that the engine has of the stream."""
        self.oldest_ns = 0
        """Time of its first entry; 0 for none."""
        self.newest_ns = 0
        """Time of its last entry."""
        self.at_count = False
        """Whether what is stored ends where its count says."""
        self.whole = Places(last_ns)
        """Where all of the tail was found."""
        self.partial = Places(last_ns)
        """Where the log begins with an end of the tail, the rest of which was rotated away."""
        self.older = 0
        """Where the first entry begins that is later than what is stored."""
        self.continues = False
        """Whether the tail begins as the log ends there: a daemon that was killed did not write the rest of it."""
        self._last_ns = last_ns
        self._passed = False
        self._pattern = re.compile(b".".join(map(re.escape, tail.split(MASK))), re.DOTALL)
        self._needle = max(tail.split(MASK), key=len)
        self._needle_at = tail.index(self._needle)
        self._seen = bytearray()
        """The end of what was searched, and what is to be searched."""
        self._begin = 0
        """Where `_seen` begins."""
        self._searched = 0
        self._ends: list[int] = [0]
        """Where the entries end of which `_seen` has something, and where the one before them does."""
        self._times: list[int] = [0]

    def add(self, time_ns: int, data: bytes) -> None:
        """Take the next entry."""
        if not self._passed and time_ns > self._last_ns + SKEW_NS:
            self._pass()
        self.size += len(data)
        self.oldest_ns = self.oldest_ns or time_ns
        self.newest_ns = max(self.newest_ns, time_ns)
        if not self.tail:
            return
        self._seen += data
        self._ends.append(self.size)
        self._times.append(time_ns)
        if self.size - self._searched >= BATCH:
            self._search()

    def finish(self) -> None:
        """Search what is left."""
        self._search()
        if not self._passed:
            self._pass()

    def _pass(self) -> None:
        """Leave the time behind at which the last byte was stored."""
        self._search()
        self._passed = True
        self.older = self.size
        self.continues = self._ends_as_tail_begins()

    def _search(self) -> None:
        """Look for tails that end in what was added since the last search."""
        if self.size == self._searched or not self.tail:
            return
        if self._searched < len(self.tail):
            self._search_beginning()
        if self._searched < self.count <= self.size:
            in_time = self._time_at(self.count) <= self._last_ns + SLACK_NS
            self.at_count = in_time and self._fits(self.count)
        self._search_whole()
        self._searched = self.size
        kept = min(len(self.tail), len(self._seen))
        del self._seen[: len(self._seen) - kept]
        self._begin = self.size - kept
        gone = max(0, bisect_left(self._ends, self._begin + 1) - 1)
        del self._ends[:gone], self._times[:gone]

    def _search_whole(self) -> None:
        if not self._needle:
            return
        data, length = bytes(self._seen), len(self.tail)
        start = max(0, self._searched + 1 - length - self._begin) + self._needle_at
        while (found := data.find(self._needle, start)) >= 0:
            start = found + 1
            offset = self._begin + found - self._needle_at
            # one that is all that is stored begins as an entry does
            may_begin = self.count > length or self._ends[bisect_left(self._ends, offset)] == offset
            if may_begin and self._pattern.match(data, found - self._needle_at):
                self._note(self.whole, offset + length)

    def _search_beginning(self) -> None:
        """Compare each beginning of the log that is shorter than the tail with the tail's end; a line begins there."""
        for offset in range(self._searched + 1, min(self.size + 1, len(self.tail))):
            ended = self.tail[-offset - 1 : -offset] in (b"\n", MASK) or offset >= NO_CHANCE
            if ended and fits(bytes(self._seen[:offset]), self.tail[-offset:]):
                self._note(self.partial, offset)

    def _fits(self, offset: int) -> bool:
        """Whether the tail, or as much of it as the log has, ends at an offset."""
        data = bytes(self._seen[max(0, offset - len(self.tail) - self._begin) : offset - self._begin])
        return fits(data, self.tail[-len(data) :])

    def _ends_as_tail_begins(self) -> bool:
        """Whether at least half of the tail is there; less might be chance."""
        seen, longest = bytes(self._seen), min(len(self._seen), len(self.tail))
        lengths = range(longest, (len(self.tail) - 1) // 2, -1)
        return any(fits(seen[-length:], self.tail[:length]) for length in lengths)

    def _note(self, places: Places, offset: int) -> None:
        places.add(offset, self._time_at(offset))

    def _time_at(self, offset: int) -> int:
        """Return the time of the entry that holds the last byte before an offset."""
        return self._times[bisect_left(self._ends, offset)]


def fits(data: bytes, tail: bytes) -> bool:
    """Whether `data` is what `tail` shows, some of it masked."""
    if MASK not in tail:
        return data == tail
    if len(data) != len(tail):
        return False
    shown = int.from_bytes(tail.translate(_SHOWN))
    return int.from_bytes(data) & shown == int.from_bytes(tail) & shown


_SHOWN = bytes(0 if byte == MASK[0] else 255 for byte in range(256))
"""Which bits of a byte count."""
