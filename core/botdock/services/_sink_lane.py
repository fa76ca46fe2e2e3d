"""One sink with its own thread and its own bounded queue."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence

import attrs

from botdock.model.logs import LogLine, LogSink, LogSource
from botdock.services._sink_losses import SinkLosses

_BATCH = 500
"""Lines of one `write` at most."""
_BATCH_BYTES = 1024 * 1024
"""Bytes of one `write`, but for the line that goes over; they are held beside the queue."""


@attrs.frozen(kw_only=True)
class SinkCounts:
    """What became of the lines that were meant for a sink; the first three add up to what was offered.

    Attributes:
        delivered: Lines of each `write` that returned.
        dropped: Lines that found the queue full, whose `write` raised, or that were left when the runner closed.
        waiting: Lines in the queue, and those of a `write` that has not returned.
        errors: Calls of the sink that raised.
    """

    delivered: int = 0
    dropped: int = 0
    waiting: int = 0
    errors: int = 0


class SinkLane:
    """Takes lines from any thread at once, and gives them to a sink in a thread of its own.

    Args:
        name: The sink's.
        sink: Whatever it does, it does it to this lane alone.
        capacity: Lines that wait at most.
        capacity_bytes: Bytes that wait at most.
        on_operation: Told of each `sink_write` and `sink_drop`, with its bytes.
        losses: Told of each loss.
    """

    def __init__(
        self,
        name: str,
        sink: LogSink,
        *,
        capacity: int,
        capacity_bytes: int,
        on_operation: Callable[[str, bool, int], None],
        losses: SinkLosses,
    ) -> None:
        self._name = name
        self._sink = sink
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._record = on_operation
        self._losses = losses
        self._queue: collections.deque[tuple[LogSource, LogLine]] = collections.deque()
        self._bytes = 0
        self._writing = 0
        self._counts = SinkCounts()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"botdock-sink-{name}", daemon=True)
        self._thread.start()

    def offer(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Queue what fits; the rest is dropped."""
        with self._changed:
            lost = lines[self._admit(source, lines) :]
            if lost:
                self._count(dropped=len(lost))
            self._changed.notify()
        if lost:
            self._record("sink_drop", False, sum(len(line.data) for line in lost))  # noqa: FBT003 - the callback's signature
            self._losses.dropped(self._name, len(lost))

    def counts(self) -> SinkCounts:
        """Return how it stands."""
        with self._changed:
            return attrs.evolve(self._counts, waiting=len(self._queue) + self._writing)

    def begin_close(self) -> None:
        """Take nothing more, and let the sink go once it has what waits."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def finish_close(self, deadline: float) -> None:
        """Wait for the sink until `deadline`, on the monotonic clock; then what waits is dropped."""
        if self._thread is not threading.current_thread():  # a sink may close the runner that it belongs to
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        with self._changed:
            left = len(self._queue) + self._writing
            size = self._bytes
            self._queue.clear()
            self._bytes = self._writing = 0
            self._count(dropped=left)
        if left:
            self._record("sink_drop", False, size)  # noqa: FBT003 - the callback's signature
            self._losses.dropped(self._name, left)
        if self._thread.is_alive():
            self._losses.hung(self._name)

    def _admit(self, source: LogSource, lines: Sequence[LogLine]) -> int:
        """Queue the first of `lines`, as many as there is room for; return how many that is."""
        room = 0 if self._closing else self._capacity - len(self._queue)
        admitted = 0
        for line in lines[:room]:
            size = len(line.data)
            if self._bytes + size > self._capacity_bytes:
                break
            self._bytes += size
            self._queue.append((source, line))
            admitted += 1
        return admitted

    def _run(self) -> None:
        while batch := self._next_batch():
            self._deliver(batch[0][0], [line for _, line in batch])
        self._attempt(self._sink.close)

    def _next_batch(self) -> list[tuple[LogSource, LogLine]]:
        """Wait for lines, and return the first ones that share a source; none when it is time to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            batch: list[tuple[LogSource, LogLine]] = []
            size = 0
            while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
                if batch and self._queue[0][0] != batch[0][0]:
                    break
                batch.append(self._queue.popleft())
                size += len(batch[-1][1].data)
            self._bytes -= size
            self._writing = len(batch)
            return batch

    def _deliver(self, source: LogSource, lines: list[LogLine]) -> None:
        size = sum(len(line.data) for line in lines)
        delivered = self._attempt(lambda: self._sink.write(source, lines))
        with self._changed:
            written, self._writing = self._writing, 0  # none, if closing has given them up meanwhile
            self._count(**{"delivered" if delivered else "dropped": written})
        self._record("sink_write", delivered, size)
        if not delivered and written:
            self._losses.dropped(self._name, written)

    def _attempt(self, call: Callable[[], None]) -> bool:
        """Call the sink; return whether it did not raise."""
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - a sink that calls `sys.exit` must not end its thread either
            with self._changed:
                self._count(errors=1)
            self._losses.failed(self._name, error)
            return False
        return True

    def _count(self, **more: int) -> None:
        known = self._counts
        self._counts = attrs.evolve(known, **{name: getattr(known, name) + number for name, number in more.items()})
