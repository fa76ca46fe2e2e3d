"""The entries of a container's log, as the API server gives them with timestamps.

Each line begins with the time of its first byte. The kubelet keeps a long line in pieces of 16 KiB and gives them one
behind the other, with the time of the first; a line that the bot did not end has no newline here either. So what stands
behind the timestamps is what the bot wrote, byte for byte.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from botdock.model import LogChunk, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

Entry: TypeAlias = tuple[int, bytes]
"""Nanoseconds since the epoch, and a line or a part of one."""

TOGETHER_NS = 5_000_000
"""Lines of so many nanoseconds share a chunk, and so a time: that of the last of them."""
NANO = 1_000_000_000
LONGEST = 64 * 1024
"""Bytes of a line that are held until its end comes; of a longer one, what is there is given."""
_SHOWN = 200
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")


class EntryReader:
    """Takes the body of one answer apart, wherever it is cut into pieces.

    Args:
        continues: Whether the body may begin within a line: one that is read from a time on begins with the pieces of a
            long line that are later than its beginning. The time of such an entry is 0.

    Attributes:
        words: The last line that had no time: the kubelet answers with what went wrong in place of a log.
    """

    def __init__(self, *, continues: bool = False) -> None:
        self.words = b""
        self._continues = continues
        self._held = b""
        self._open: int | None = None
        """The time of the line whose beginning was given."""

    def feed(self, piece: bytes) -> list[Entry]:
        """Return the entries that are now complete.

        Raises:
            ValueError: A line has no time.
        """
        *lines, self._held = (self._held + piece).split(b"\n")
        entries = [self._entry(line + b"\n") for line in lines]
        if len(self._held) > LONGEST:
            held, self._held = self._held, b""
            entries.append(self._entry(held))
        return entries

    def finish(self) -> list[Entry]:
        """Return the last line, which the bot did not end, now that the body has ended.

        Raises:
            ValueError: It has no time.
        """
        held, self._held = self._held, b""
        return [self._entry(held)] if held else []

    def _entry(self, line: bytes) -> Entry:
        if self._open is not None:
            time_ns, data = self._open, line
        elif stamp := _STAMP.match(line):
            time_ns, data = (
                _seconds(stamp[1], stamp[3]) * NANO + int((stamp[2] or b"0").ljust(9, b"0")),
                line[stamp.end() :],
            )
        else:
            self.words, time_ns, data = line, 0, line
            if not self._continues:
                raise ValueError(f"this is not a log: {line[:_SHOWN].decode('utf-8', 'replace').strip()}")
        self._continues = False
        self._open = None if line.endswith(b"\n") else time_ns
        return time_ns, data


@lru_cache(maxsize=64)
def _seconds(clock: bytes, zone: bytes) -> int:
    return int(datetime.fromisoformat((clock + zone).decode("ascii")).timestamp())


def chunks_of(entries: Sequence[Entry]) -> list[LogChunk]:
    """Join entries that were written together; the time of a chunk is that of its last entry.

    The times of two chunks are at least `TOGETHER_NS` apart. So they are not joined once more where they are stored,
    and the last time that is stored is that of one entry.
    """
    chunks: list[LogChunk] = []
    parts: list[bytes] = []
    last_ns = 0
    for time_ns, data in reversed(entries):
        if parts and abs(time_ns - last_ns) >= TOGETHER_NS:
            chunks.append(LogChunk(Stream.STDOUT, b"".join(reversed(parts)), last_ns))
            parts = []
        if not parts:
            last_ns = time_ns
        parts.append(data)
    if parts:
        chunks.append(LogChunk(Stream.STDOUT, b"".join(reversed(parts)), last_ns))
    return chunks[::-1]
