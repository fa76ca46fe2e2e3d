"""From the entries of a log to the chunks of it that are new."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdock.model import LogChunk, Stream
from botdock_engine_docker.entries import EntryReader
from botdock_engine_docker.lines import LineMender
from botdock_engine_docker.tails import SLACK_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock_engine_docker.following import FollowWatch
    from botdock_engine_docker.looking import Plan

TOGETHER_NS = 5_000_000
"""Lines of so many nanoseconds may share a chunk, and so a time: fewer chunks, and times that are true to 5 ms."""


class Delivery:
    """Reads a log as planned, and perhaps its end once more.

    Args:
        plan: Where it begins and what is skipped.
        watch: Looks whether the log can be trusted while it is followed; None for one that is not.
    """

    def __init__(self, plan: Plan, watch: FollowWatch | None) -> None:
        self.doubtful = False
        """Whether what follows has to be looked for anew."""
        self._watch = watch
        self._plan = plan
        self._skip = dict(plan.skip)
        self._entries = EntryReader(LineMender(began_ns=plan.began_ns, keeps=plan.keeps), since_ns=plan.since_ns)
        self._joiner = Joiner()

    @property
    def moved(self) -> bool:
        """Whether it begins with another entry than was planned for: the log was rotated meanwhile."""
        return self._plan.first is not None and self._entries.first not in (None, self._plan.first)

    @property
    def begun(self) -> bool:
        """Whether it has an entry, or was not expected to."""
        return self._plan.first is None or self._entries.first is not None

    @property
    def complete(self) -> bool:
        """Whether the second reading joined the first."""
        return self._entries.found

    def feed(self, piece: bytes) -> Sequence[LogChunk]:
        """Return what is new in a piece of the log, up to where it is doubtful; nothing when it has moved.

        Raises:
            ValueError: It is no log.
        """
        now_ns = time.time_ns()
        for stream, time_ns, data in self._entries.feed(piece):
            if self._plan.first is not None and self.moved:
                return ()
            if self._watch is not None and self._watch.doubts(stream, time_ns, now_ns):
                self.doubtful = True
                break
            if skip := self._skip[stream]:
                self._skip[stream] = max(0, skip - len(data))
            self._joiner.add(stream, data[skip:], time_ns)
        return self._joiner.take()

    def begin_again(self) -> int:
        """Prepare to read the log's end once more; return from which time on, nanoseconds since the epoch."""
        self._watch = None
        self._entries.begin_again()
        last = self._entries.last
        return max(0, last.time_ns - SLACK_NS) if last else self._plan.since_ns


class Joiner:
    """Joins neighbouring entries of one stream, so that what stands above handles fewer and longer chunks."""

    def __init__(self) -> None:
        self._stream = Stream.STDOUT
        self._time_ns = 0
        self._parts: list[bytes] = []
        self._chunks: list[LogChunk] = []

    def add(self, stream: Stream, data: bytes, time_ns: int) -> None:
        """Add the bytes of an entry."""
        if not data:
            return
        if not (self._parts and stream is self._stream and abs(time_ns - self._time_ns) <= TOGETHER_NS):
            self._flush()
            self._stream, self._time_ns = stream, time_ns
        self._parts.append(data)

    def take(self) -> list[LogChunk]:
        """Return the chunks, and begin anew."""
        self._flush()
        chunks, self._chunks = self._chunks, []
        return chunks

    def _flush(self) -> None:
        if self._parts:
            self._chunks.append(LogChunk(self._stream, b"".join(self._parts), self._time_ns))
            self._parts = []
