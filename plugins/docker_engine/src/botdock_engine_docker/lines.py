"""What Docker's log API makes of a bot's lines, and how to undo it."""

from __future__ import annotations

from calendar import timegm
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdock.model import Stream

FULL_FRAME = 16_384
"""Bytes of a line that the daemon puts into one entry of the log (`defaultBufSize` of its log copier)."""
SECONDS = len("2026-01-02T03:04:05")
NANOSECONDS = 9
NANO = 10**NANOSECONDS
WIDTH = len("2026-01-02T03:04:05.123456789Z ")


def read_timestamp(payload: bytes) -> tuple[int, bytes]:
    """Take a frame of `logs?timestamps=1` apart into nanoseconds since the epoch and what the bot wrote.

    Raises:
        ValueError: It does not begin with a timestamp such as `2026-01-02T03:04:05.123456789Z`.
    """
    if payload[WIDTH - 2 : WIDTH] == b"Z ":  # Docker's are all of one width
        return _seconds(payload[:SECONDS]) * NANO + int(payload[SECONDS + 1 : WIDTH - 2]), payload[WIDTH:]
    stamp, _, data = payload.partition(b" ")
    fraction = stamp[SECONDS + 1 :].rstrip(b"Z")
    return _seconds(stamp[:SECONDS]) * NANO + int(fraction.ljust(NANOSECONDS, b"0")), data


@lru_cache(maxsize=16)
def _seconds(text: bytes) -> int:
    date, _, clock = text.decode("ascii").partition("T")
    year, month, day = map(int, date.split("-"))
    hour, minute, second = map(int, clock.split(":"))
    return timegm((year, month, day, hour, minute, second))


class LineMender:
    """Puts back the newlines that the log driver `local` of Docker 20.10 drops.

    A line of over 16,384 bytes is stored as several entries of one timestamp; read back, the last of them lacks its
    newline. Newer versions keep it. So a short entry without one, after a full one of the same stream and time,
    ended its line, unless this daemon has been seen to keep newlines there: then it is the bot's unterminated last.

    What cannot be told apart, on a daemon that drops them: a last line of over 16,384 bytes that the bot did not end.

    A log whose beginning was rotated away may begin within a line. Then a short first entry without a newline, which
    another one follows, ended such a line.

    Args:
        began_ns: A log whose first entry is later has lost its beginning; 0 for one that has not.
        keeps: Whether this daemon was seen to keep newlines.
    """

    def __init__(self, *, began_ns: int = 0, keeps: bool = False) -> None:
        self.keeps = keeps
        self.settled_ns = 0
        """When the entry came with which a rotated log got back the newline that the one before lacked; 0 for none."""
        self._open: dict[Stream, int] = {}
        """The time of the line that full entries have begun, by stream."""
        self._began_ns = began_ns
        self._edge: dict[Stream, bytes] | None = {} if began_ns else None
        """The newline that the first entry of a rotated log may lack, by stream; None where there is nothing to do."""

    def mend(self, stream: Stream, time_ns: int, data: bytes) -> bytes:
        """Return what the bot wrote for this entry."""
        if not self._open and len(data) < FULL_FRAME and self._edge is None:  # nearly all lines
            return data
        return self._settle(stream, time_ns, data) + self._mend(stream, time_ns, data)

    def _mend(self, stream: Stream, time_ns: int, data: bytes) -> bytes:
        continues = self._open.get(stream) == time_ns
        if data.endswith(b"\n"):
            self.keeps = self.keeps or continues
            self._open.pop(stream, None)
            return data
        if len(data) == FULL_FRAME:
            self._open[stream] = time_ns
            return data
        self._open.pop(stream, None)
        return data + b"\n" if continues and not self.keeps else data

    def _settle(self, stream: Stream, time_ns: int, data: bytes) -> bytes:
        """Return the newline that the first entry of a rotated log lacks, now that another one follows it."""
        if self._edge is None:
            return b""
        if not self._edge and time_ns <= self._began_ns:
            self._edge = None
            return b""
        owed = self._edge.get(stream)
        self.settled_ns = time_ns if owed else self.settled_ns
        lacks = owed is None and len(data) < FULL_FRAME and not data.endswith(b"\n")
        self._edge[stream] = b"\n" if lacks and data else b""
        return b"\n" if lacks and not data else owed or b""  # an entry of nothing has ended a line for sure
