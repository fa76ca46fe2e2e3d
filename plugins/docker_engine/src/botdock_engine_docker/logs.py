"""The log that the daemon has kept, from a cursor on, byte for byte as the bot wrote it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock_engine_docker.delivery import Delivery, FollowWatch
from botdock_engine_docker.entries import NANO
from botdock_engine_docker.errors import translated
from botdock_engine_docker.looking import Look, plan_by_count
from botdock_engine_docker.streams import WireStream
from botdock_engine_docker.wire import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdock.model import LogChunk, LogCursor, LogGap
    from botdock_engine_docker.looking import Plan
    from botdock_engine_docker.streams import Source


CATCH_UP_NS = 1_000_000_000
"""What was seen by attaching is in the log so much later at the latest."""
PAUSE = 0.1
"""Seconds between two looks at a log that may be behind."""
LOOKS = 32
"""Looks at a log until it is given up: it is rotated faster than it can be read."""


class LogReader(WireStream):
    """Reads the log from where the cursor says that what is stored ends.

    As long as the log has its first byte, the counts say it. Of one that has lost its beginning, or does not have what
    is stored where they say, a look goes through all of it, and then it is read from shortly before that place. A
    followed log may end without its last line where that has no newline (8 to 12 of 25 times on Docker 20.10); so, once
    the container has ended, its end is read once more without following, and what is new in it is delivered.

    Args:
        source: Opens the connections.
        cursor: What is stored already.
        follow: Whether to go on until the container ends.
    """

    def __init__(self, source: Source, *, cursor: LogCursor, follow: bool) -> None:
        self._cursor = cursor
        self._follow = follow
        self._lost: Sequence[LogGap] = ()
        self._looks = 0
        self._followed = False
        self._take: Callable[[bytes], Sequence[LogChunk]] = _nothing
        """Takes each piece of what is read now."""
        self._go_on: Callable[[], None] = self._look_again
        """Goes on, at its end, with what follows."""
        super().__init__(source.open("GET", _log(follow=follow)), source)
        self._ahead_ns = source.ahead_ns()
        self._begin_delivery(plan_by_count(cursor))

    @property
    def lost(self) -> Sequence[LogGap]:
        """What lies between the cursor and the first byte, and is gone."""
        return self._lost

    def _step(self, timeout: float) -> Sequence[LogChunk]:
        if self._followed:
            if self._container_has_ended(timeout):  # nothing can be added to the log: its end is read once more
                self._followed = False
                self._switch(self._source.ask("GET", _log(follow=False, since_ns=self._delivery.begin_again())))
                self._take, self._go_on = self._deliver, self._finish_again
            return ()
        try:
            piece = self._wire.receive(timeout)
        except ContainerNotFoundError:
            self._ended = True  # it was removed meanwhile, and its log with it
            return ()
        with translated(self._call):
            chunks = self._take(piece)
        if self._wire.ended:
            self._go_on()
        return chunks

    def _watch(self, piece: bytes) -> Sequence[LogChunk]:
        self._look.feed(piece)
        if self._look.passed and not self._wire.ended:
            self._decide()
        return ()

    def _decide(self) -> None:
        fresh = time.time_ns() - self._ahead_ns < self._cursor.last_ns + CATCH_UP_NS
        plan = self._look.finish(patient=fresh and self._looks < LOOKS)
        if plan is None:
            self._switch(pause(PAUSE, self._call))
            self._take, self._go_on = _nothing, self._look_again
        else:
            self._switch(self._source.ask("GET", _log(follow=self._follow, since_ns=plan.since_ns)))
            self._lost = plan.lost
            self._begin_delivery(plan)

    def _look_again(self) -> None:
        if self._looks >= LOOKS:
            raise self._call.error(ContainerError, "the log is rotated faster than it can be read")
        self._switch(self._source.ask("GET", _log(follow=False)))
        self._looks += 1
        self._look = Look(self._cursor)
        self._take, self._go_on = self._watch, self._decide

    def _begin_delivery(self, plan: Plan) -> None:
        watch = FollowWatch(time.time_ns(), ahead_ns=self._ahead_ns) if self._follow else None
        self._delivery = Delivery(plan, watch)
        self._take, self._go_on = self._deliver, self._finish

    def _deliver(self, piece: bytes) -> Sequence[LogChunk]:
        chunks = self._delivery.feed(piece)
        if self._delivery.moved:
            self._look_again()
        elif self._delivery.doubtful:  # what came before it, too, is read again by the reader that goes on
            raise self._call.error(ContainerError, "the log may have been rotated away before it was read")
        return chunks

    def _finish(self) -> None:
        if self._delivery.begun and self._follow and self._delivery.repeatable:
            self._followed = True
            self._await_end()
        elif self._delivery.begun and self._delivery.proved and not self._follow:
            self._ended = True
        else:
            self._look_again()

    def _finish_again(self) -> None:
        if not self._delivery.complete:  # another reader will find what is left of it
            raise self._call.error(ContainerError, "the log was rotated before its end was read")
        if self._delivery.proved:
            self._ended = True
        else:
            self._look_again()


def _log(*, follow: bool, since_ns: int = 0) -> str:
    """Return how the log is asked for, from a time on: nanoseconds since the epoch, inclusive."""
    since = f"&since={since_ns // NANO}.{since_ns % NANO:09}" if since_ns else ""
    return f"/logs?stdout=1&stderr=1&timestamps=1&follow={int(follow)}{since}"


def _nothing(_piece: bytes) -> Sequence[LogChunk]:
    return ()
