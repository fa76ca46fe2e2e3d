"""The entries of a container's log, one after the other, as the bot wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from botdock_engine_docker.frames import FrameDecoder
from botdock_engine_docker.lines import LineMender, read_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from botdock.model import Stream

    Entry: TypeAlias = tuple[Stream, int, bytes]
    """Stream, nanoseconds since the epoch, and what the bot wrote."""


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
            ValueError: This is no such answer.
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
