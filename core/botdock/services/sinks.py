"""Hands lines to sinks without ever waiting for one."""

from __future__ import annotations

import collections
import threading
from collections.abc import Mapping, Sequence

import attrs

from botdock._log import logger
from botdock.model.logs import LogLine, LogSink, LogSource

CLOSE_TIMEOUT = 5.0
"""Seconds that a sink has to deliver what it holds when the runner closes."""
_BATCH = 500


@attrs.define
class SinkCounts:
    """What became of the lines that were meant for a sink."""

    delivered: int = 0
    dropped: int = 0
    errors: int = 0


class _Lane:
    """One sink with its own thread and its own bounded queue."""

    def __init__(self, name: str, sink: LogSink, capacity: int) -> None:
        self.counts = SinkCounts()
        self._name = name
        self._sink = sink
        self._capacity = capacity
        self._queue: collections.deque[tuple[LogSource, LogLine]] = collections.deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"botdock-sink-{name}", daemon=True)
        self._thread.start()

    def offer(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        with self._changed:
            room = self._capacity - len(self._queue)
            self._queue.extend((source, line) for line in lines[:room])
            self.counts.dropped += max(len(lines) - room, 0)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            logger.bind(sink=self._name, lines=len(self._queue)).warning("log sink did not finish in time")

    def _run(self) -> None:
        while batch := self._next_batch():
            source = batch[0][0]
            self._deliver(source, [line for _, line in batch])
        self._guarded(self._sink.close)

    def _next_batch(self) -> list[tuple[LogSource, LogLine]]:
        """Wait for lines, and return the first ones that share a source; none when it is time to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            batch: list[tuple[LogSource, LogLine]] = []
            while self._queue and len(batch) < _BATCH and (not batch or self._queue[0][0] == batch[0][0]):
                batch.append(self._queue.popleft())
            return batch

    def _deliver(self, source: LogSource, lines: list[LogLine]) -> None:
        if self._guarded(lambda: self._sink.write(source, lines)):
            self.counts.delivered += len(lines)
        else:
            self.counts.dropped += len(lines)

    def _guarded(self, call: collections.abc.Callable[[], None]) -> bool:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a third party's sink must not stop its thread
            self.counts.errors += 1
            logger.bind(sink=self._name, error=repr(error)).warning("log sink failed")
            return False
        return True


class SinkFanOut:
    """Offers lines to every sink; a sink that is slow, blocks or raises delays nobody, its losses are counted.

    Args:
        sinks: By name.
        capacity: Lines that wait for each sink at most.
    """

    def __init__(self, sinks: Mapping[str, LogSink], *, capacity: int) -> None:
        self._lanes = {name: _Lane(name, sink, capacity) for name, sink in sinks.items()}

    def __bool__(self) -> bool:
        """Whether there is any sink."""
        return bool(self._lanes)

    def offer(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Queue lines for every sink; never waits."""
        for lane in self._lanes.values():
            lane.offer(source, lines)

    def counts(self) -> dict[str, SinkCounts]:
        """Return, per sink, how many lines were delivered and dropped so far."""
        return {name: attrs.evolve(lane.counts) for name, lane in self._lanes.items()}

    def close(self) -> None:
        """Let every sink deliver what it holds, each for `CLOSE_TIMEOUT` seconds at most."""
        for lane in self._lanes.values():
            lane.close()
