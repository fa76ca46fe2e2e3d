"""Hands lines to sinks without ever waiting for one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from botdock.model.logs import LogLine, LogSink, LogSource
from botdock.services.log_sinks.lane import SinkCounts, SinkLane
from botdock.services.log_sinks.losses import SinkLosses

CLOSE_TIMEOUT = 5.0
"""Seconds that all sinks together have to deliver what they hold when the runner closes."""
QUEUE_BYTES = 8 * 1024 * 1024
"""Bytes that wait for each sink at most: 10,000 lines may be 64 KiB each, and 640 MB must not wait for a slow sink."""
WARN_INTERVAL = 60.0
"""Seconds between two warnings about one sink."""


class SinkFanOut:
    """Offers lines to every sink; a sink that is slow, blocks or raises delays nobody, its losses are counted.

    Each sink has its own thread and its own queue. What does not fit into the queue is dropped, the newest first;
    `counts` says how many, and botdock's own log says so from time to time. Threads are daemons, so that a sink that
    never returns keeps no process alive; a forked child has none of them, and offers nothing.

    Args:
        sinks: By name.
        capacity: Lines that wait for each sink at most.
        capacity_bytes: Bytes that wait for each sink at most.
        close_timeout: Seconds that `close` takes at most, however many sinks hang.
        warn_interval: Seconds between two warnings about one sink.
        on_operation: Told of each `sink_write` and each `sink_drop`: the name, whether it succeeded, bytes. It is
            called while lines are offered, too, so it must neither wait nor raise.
    """

    def __init__(
        self,
        sinks: Mapping[str, LogSink],
        *,
        capacity: int,
        capacity_bytes: int = QUEUE_BYTES,
        close_timeout: float = CLOSE_TIMEOUT,
        warn_interval: float = WARN_INTERVAL,
        on_operation: Callable[[str, bool, int], None] | None = None,
    ) -> None:
        self._close_timeout = close_timeout
        self._closed = False
        self._process = os.getpid()
        self._losses = SinkLosses(warn_interval) if sinks else None
        self._lanes = {
            name: SinkLane(
                name,
                sink,
                capacity=capacity,
                capacity_bytes=capacity_bytes,
                on_operation=on_operation or (lambda _operation, _success, _size: None),
                losses=self._losses,
            )
            for name, sink in sinks.items()
            if self._losses
        }

    def __bool__(self) -> bool:
        """Whether there is any sink."""
        return bool(self._lanes)

    def offer(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Queue lines of one execution, in their order, for every sink; never waits.

        What is offered after `close` is dropped, and counted.
        """
        if not lines or not self._lanes or not self._is_ours():
            return
        size = sum(len(line.data) for line in lines)
        for lane in self._lanes.values():
            lane.offer(source, lines, size)

    def counts(self) -> dict[str, SinkCounts]:
        """Return, per sink, what became of the lines so far: each one offered is delivered, dropped or waiting."""
        return {name: lane.counts() for name, lane in self._lanes.items()} if self._is_ours() else {}

    def close(self) -> None:
        """Let every sink deliver what it holds, for `close_timeout` seconds in all; may be called again.

        What is not delivered by then is dropped and counted, and nobody waits for that sink any more.
        """
        if not self._losses or self._closed or not self._is_ours():
            return
        self._closed = True
        deadline = time.monotonic() + self._close_timeout
        for lane in self._lanes.values():
            lane.begin_close()
        for lane in self._lanes.values():
            lane.finish_close(deadline)
        self._losses.close()

    def _is_ours(self) -> bool:
        """Whether this is the process that has the threads; locks that a fork copied may be held for ever."""
        return os.getpid() == self._process
