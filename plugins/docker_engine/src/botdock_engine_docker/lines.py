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


def read_timestamp(payload: memoryview) -> tuple[int, bytes]:
    """Take a frame of `logs?timestamps=1` apart into nanoseconds since the epoch and what the bot wrote.

    Raises:
        ValueError: It does not begin with a timestamp such as `2026-01-02T03:04:05.123456789Z`.
    """
    stamp, _, data = bytes(payload).partition(b" ")
    fraction = stamp[SECONDS + 1 :].rstrip(b"Z")
    return _seconds(stamp[:SECONDS]) * 10**NANOSECONDS + int(fraction.ljust(NANOSECONDS, b"0")), data


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
    """

    def __init__(self) -> None:
        self._open: dict[Stream, int] = {}
        """The time of the line that full entries have begun, by stream."""
        self._keeps = False

    def mend(self, stream: Stream, time_ns: int, data: bytes) -> bytes:
        """Return what the bot wrote for this entry."""
        if not self._open and len(data) < FULL_FRAME:  # nearly all lines
            return data
        continues = self._open.get(stream) == time_ns
        if data.endswith(b"\n"):
            self._keeps = self._keeps or continues
            self._open.pop(stream, None)
            return data
        if len(data) == FULL_FRAME:
            self._open[stream] = time_ns
            return data
        self._open.pop(stream, None)
        return data + b"\n" if continues and not self._keeps else data
