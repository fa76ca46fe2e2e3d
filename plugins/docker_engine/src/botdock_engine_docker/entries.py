"""The entries of a container's log, as the bot wrote them: what Docker's log API makes of its lines is undone."""

from __future__ import annotations

from calendar import timegm
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from botdock_engine_docker.frames import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from botdock.model import Stream

    Entry: TypeAlias = tuple[Stream, int, bytes]
    """Stream, nanoseconds since the epoch, and what the bot wrote."""

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


@attrs.frozen
class Mark:
    """One entry of a log, found again in another reading of it.

    Attributes:
        stream: Of it.
        time_ns: Its timestamp; two entries may share one.
        number: How many entries of the same stream and time came directly before it.
    """

    stream: Stream
    time_ns: int
    number: int


class EntryReader:
    """Takes the answer of `logs?timestamps=1` apart.

    Args:
        mender: Undoes what the log driver did to newlines.
        since_ns: Entries with an earlier timestamp are left out. Docker 20.10 does so itself; a newer one only up to
            the first that is not earlier, and the two streams are not exactly in the order of their timestamps.
    """

    def __init__(self, mender: LineMender, *, since_ns: int = 0) -> None:
        self.first: Entry | None = None
        """The first one."""
        self._mender = mender
        self._since_ns = since_ns
        self._frames = FrameDecoder()
        self._counter = MarkCounter()
        self._recounter = MarkCounter()
        self._after: Mark | None = None
        """The last entry of the answer before, while it has not come again."""

    @property
    def last(self) -> Mark | None:
        """The last entry so far."""
        return self._counter.last

    @property
    def found(self) -> bool:
        """Whether the entry was found again after which a new answer is read."""
        return self._after is None

    def begin_again(self) -> None:
        """Take a new answer: only what follows the last entry of the one before is an entry."""
        self._frames = FrameDecoder()
        self._after = self._counter.last
        self._recounter = MarkCounter()

    def feed(self, piece: bytes) -> Iterator[Entry]:
        """Yield each entry that is now complete.

        Raises:
            ValueError: This is not such an answer.
        """
        for stream, payloads in self._frames.feed(piece):
            for payload in payloads:
                time_ns, data = read_timestamp(payload)
                if time_ns < self._since_ns or (self._after and self._is_known(stream, time_ns)):
                    continue
                self._counter.count(stream, time_ns)
                entry = stream, time_ns, self._mender.mend(stream, time_ns, data)
                if self.first is None:
                    self.first = entry
                yield entry

    def _is_known(self, stream: Stream, time_ns: int) -> bool:
        self._recounter.count(stream, time_ns)
        if self._after and self._after.time_ns == time_ns and self._recounter.last == self._after:
            self._after = None
        return True


class MarkCounter:
    """Counts entries of one stream and time."""

    def __init__(self) -> None:
        self._times: dict[Stream, int] = {}
        self._numbers: dict[Stream, int] = {}
        self._stream: Stream | None = None

    def count(self, stream: Stream, time_ns: int) -> None:
        """Count an entry."""
        same = self._times.get(stream) == time_ns
        self._numbers[stream] = self._numbers[stream] + 1 if same else 0
        self._times[stream] = time_ns
        self._stream = stream

    @property
    def last(self) -> Mark | None:
        """The entry counted last."""
        if self._stream is None:
            return None
        return Mark(self._stream, self._times[self._stream], self._numbers[self._stream])
