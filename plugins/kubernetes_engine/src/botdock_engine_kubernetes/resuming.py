"""Where in a log does what is stored end, and is something missing behind it?

The time of a stored chunk is that of its last entry, to the nanosecond, and two entries hardly share one; so the entry
of that time is where to go on. Where that is uncertain, the counts say it as long as the log has its first byte; of one
that the kubelet has rotated, only the newest file can be read, and then the end of what is stored is searched for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botdock.model import LogGap, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock.model import LogCursor
    from botdock_engine_kubernetes.entries import Entry

MASK = b"*"
"""Stands in what is stored for a byte that was masked, and so fits any."""
SKEW_NS = 50_000_000
"""Two neighbouring entries may be so far from the order of their times: each stream has its own hand."""
MOST_KEPT = 4 * 1024 * 1024
"""Bytes that are searched for the end of what is stored."""
OVERLAP_NS = 1_000_000_000
"""How much of what is stored is read again, to find its end."""


class Position:
    """The end of what this reader itself has delivered: so many bytes of the entries of one time.

    Attributes:
        time_ns: Of the last entry; 0 for none yet.
        size: Bytes of that time.
    """

    def __init__(self) -> None:
        self.time_ns = 0
        self.size = 0

    def advance(self, entries: Iterable[Entry]) -> None:
        """Take what was delivered."""
        for time_ns, data in entries:
            self.size = len(data) + (self.size if time_ns == self.time_ns else 0)
            self.time_ns = time_ns


class ToMark:
    """Skips to an entry of a known time.

    Attributes:
        found: Whether the end of what is stored was found.
        passed: Whether the answer is past it, so that it has to be looked for elsewhere.
        matched: The line at whose end that is; empty where `size` was given.

    Args:
        time_ns: The time.
        size: Bytes of the entries of that time to be skipped; None where that is not known: then it must be one line,
            at whose end the tail fits.
        tail: The end of what is stored.
    """

    def __init__(self, time_ns: int, *, size: int | None, tail: bytes = b"") -> None:
        self.found = not time_ns
        self.passed = False
        self.matched = b""
        self.time_ns = time_ns
        self._size = size
        self._tail = tail
        self._seen = b""
        self._run = 0

    def feed(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return what is new."""
        return [new for entry in entries if (new := self._new(entry)) is not None]

    def finish(self) -> list[Entry]:
        """Return nothing: what is behind the mark was given."""
        return []

    def _new(self, entry: Entry) -> Entry | None:
        if self.found or self.passed:
            return entry if self.found else None
        time_ns, data = entry
        if self._size is None:
            self._seen = (self._seen + data)[-len(self._tail) :]
        if time_ns != self.time_ns:
            self.passed = time_ns > self.time_ns + SKEW_NS
            return None
        if self._size is None:
            self.found = data.endswith(b"\n") and fits(self._seen, self._tail)
            self.passed, self.matched = not self.found, data
            return None
        taken = min(self._size - self._run, len(data))
        self._run += taken
        self.found = self._run == self._size
        return (time_ns, data[taken:]) if taken < len(data) else None


class ToEnd:
    """Skips what is stored of a log that is read from the first byte that the kubelet still gives.

    Attributes:
        found: Whether the end of what is stored was found, or is known not to be there.
        passed: Always False: there is nowhere else to look.
        lost: What may be gone behind what is stored.

    Args:
        cursor: The end of what is stored.
    """

    def __init__(self, cursor: LogCursor) -> None:
        self.found = not cursor.stdout
        self.passed = False
        self.lost: tuple[LogGap, ...] = ()
        self._cursor = cursor
        self._left = -1
        """Bytes to be skipped; -1 where the counts say nothing."""
        self._begun = False
        self._kept: list[Entry] = []
        """The entries among which the end is searched."""
        self._size = 0

    def feed(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return what is new."""
        new: list[Entry] = []
        for time_ns, data in entries:
            if self.found:
                new.append((time_ns, data))
                continue
            if not self._begun:
                self._begun = True
                is_first = not self._cursor.first_ns or time_ns <= self._cursor.first_ns
                self._left = self._cursor.stdout if is_first else -1
            if self._left < 0:
                new += self._search(time_ns, data)
                continue
            taken = min(self._left, len(data))
            self._left -= taken
            self.found = not self._left
            if taken < len(data):
                new.append((time_ns, data[taken:]))
        return new

    def finish(self) -> list[Entry]:
        """Return what is new, now that the answer has ended."""
        if self.found or self._left >= 0:
            self.found = True
            return []
        return self._decide()

    def _search(self, time_ns: int, data: bytes) -> list[Entry]:
        if time_ns > self._cursor.last_ns + SKEW_NS:
            return [*self._decide(time_ns), (time_ns, data)]
        self._kept.append((time_ns, data))
        self._size += len(data)
        if time_ns == self._cursor.last_ns and fits(
            self._joined(len(self._cursor.stdout_tail)), self._cursor.stdout_tail
        ):
            self.found = True
            self._kept = []
        elif self._size > 2 * MOST_KEPT:
            while self._size > MOST_KEPT:
                self._size -= len(self._kept.pop(0)[1])
        return []

    def _joined(self, size: int) -> bytes:
        """Return the last bytes that were kept, about so many."""
        parts: list[bytes] = []
        for _, data in reversed(self._kept):
            parts.append(data)
            size -= len(data)
            if size <= 0:
                break
        return b"".join(reversed(parts))

    def _decide(self, until_ns: int = 0) -> list[Entry]:
        """Return what is new of what was kept: behind the last place of the tail, or later than what is stored."""
        self.found = True
        kept, self._kept = self._kept, []
        tail, last_ns = self._cursor.stdout_tail, self._cursor.last_ns
        end = find_last(b"".join(data for _, data in kept), tail) if tail else -1
        if end < 0:
            self.lost = (lost(self._cursor, until_ns=kept[0][0] if kept else until_ns),)
            return [(time_ns, data) for time_ns, data in kept if time_ns > last_ns]
        new: list[Entry] = []
        for time_ns, data in kept:
            if rest := data[max(end, 0) :]:
                new.append((time_ns, rest))
            end -= len(data)
        return new


def lost(cursor: LogCursor, *, until_ns: int = 0) -> LogGap:
    """Return the gap behind what is stored: how much is missing is not known, and may be nothing."""
    return LogGap(stream=Stream.STDOUT, size=None, since_ns=cursor.last_ns, until_ns=max(until_ns, cursor.last_ns))


def fits(data: bytes, tail: bytes) -> bool:
    """Whether `data` ends with what `tail` shows, some of it masked; of a shorter one, as much as there is."""
    size = min(len(data), len(tail))
    data, tail = data[len(data) - size :], tail[len(tail) - size :]
    if MASK not in tail:
        return data == tail
    return all(shown in (byte, MASK[0]) for shown, byte in zip(tail, data, strict=True))


def find_last(data: bytes, tail: bytes) -> int:
    """Return behind which byte of `data` the tail ends for the last time; -1 for nowhere."""
    if MASK not in tail:
        found = data.rfind(tail)
        return found + len(tail) if found >= 0 else -1
    pattern = re.compile(b".".join(map(re.escape, tail.split(MASK))), re.DOTALL)
    end, start = -1, 0
    while match := pattern.search(data, start):
        end, start = match.end(), match.start() + 1
    return end
