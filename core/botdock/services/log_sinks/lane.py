"""One sink with its own thread and its own bounded queue."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence

import attrs

from botdock.model.logs import LogLine, LogSink, LogSource
from botdock.services.log_sinks.losses import SinkLosses

_BATCH = 500
"""Lines of one `write` at most."""
_BATCH_BYTES = 1024 * 1024
"""Bytes of one `write` beyond which nothing is added to it."""


@attrs.frozen
class _Block:
    """Neighbouring lines of one execution: taken and given together, because a flood has a million of them."""

    source: LogSource
    lines: Sequence[LogLine]
    size: int


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
        self._queue: collections.deque[_Block] = collections.deque()
        self._lines = 0
        self._bytes = 0
        self._writing = 0
        self._counts = SinkCounts()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"botdock-sink-{name}", daemon=True)
        self._thread.start()

    def offer(self, source: LogSource, lines: Sequence[LogLine], size: int) -> None:
        """Queue what fits; the rest is dropped.

        Args:
            source: Whose lines they are.
            lines: In their order.
            size: Bytes of them all.
        """
        with self._changed:
            admitted, taken = self._room_for(lines, size)
            self._queue_up(source, lines[:admitted], taken)
            lost = len(lines) - admitted
            if lost:
                self._count(dropped=lost)
            self._changed.notify()
        if lost:
            self._record("sink_drop", False, size - taken)  # noqa: FBT003 - the callback's signature
            self._losses.dropped(self._name, lost)

    def counts(self) -> SinkCounts:
        """Return how it stands."""
        with self._changed:
            return attrs.evolve(self._counts, waiting=self._lines + self._writing)

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
            left = self._lines + self._writing
            size = self._bytes
            self._queue.clear()
            self._lines = self._bytes = self._writing = 0
            self._count(dropped=left)
        if left:
            self._record("sink_drop", False, size)  # noqa: FBT003 - the callback's signature
            self._losses.dropped(self._name, left)
        if self._thread.is_alive():
            self._losses.hung(self._name)

    def _room_for(self, lines: Sequence[LogLine], size: int) -> tuple[int, int]:
        """Return how many of the first of `lines` there is room for, and their bytes."""
        room = 0 if self._closing else self._capacity - self._lines
        room_bytes = self._capacity_bytes - self._bytes
        if len(lines) <= room and size <= room_bytes:
            return len(lines), size
        taken = 0
        for number, line in enumerate(lines[:room]):
            if taken + len(line.data) > room_bytes:
                return number, taken
            taken += len(line.data)
        return room, taken

    def _queue_up(self, source: LogSource, lines: Sequence[LogLine], size: int) -> None:
        self._lines += len(lines)
        self._bytes += size
        for start in range(0, len(lines), _BATCH):
            part = lines[start : start + _BATCH]
            self._queue.append(_Block(source, part, size if len(part) == len(lines) else _size(part)))

    def _run(self) -> None:
        while blocks := self._next_blocks():
            self._deliver(blocks)
        self._attempt(self._sink.close)

    def _next_blocks(self) -> list[_Block]:
        """Wait for lines, and return the first ones that share a source; none when it is time to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            blocks: list[_Block] = []
            lines = size = 0
            while self._queue and self._goes_along(self._queue[0], blocks, lines, size):
                blocks.append(self._queue.popleft())
                lines += len(blocks[-1].lines)
                size += blocks[-1].size
            self._lines -= lines
            self._bytes -= size
            self._writing = lines
            return blocks

    @staticmethod
    def _goes_along(block: _Block, blocks: list[_Block], lines: int, size: int) -> bool:
        """Whether a block can be written together with those that come before it."""
        if not blocks:
            return True
        fits = lines + len(block.lines) <= _BATCH and size + block.size <= _BATCH_BYTES
        return fits and block.source == blocks[0].source

    def _deliver(self, blocks: list[_Block]) -> None:
        lines = [line for block in blocks for line in block.lines]
        delivered = self._attempt(lambda: self._sink.write(blocks[0].source, lines))
        with self._changed:
            written, self._writing = self._writing, 0  # none, if closing has given them up meanwhile
            self._count(**{"delivered" if delivered else "dropped": written})
        self._record("sink_write", delivered, sum(block.size for block in blocks))
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


def _size(lines: Sequence[LogLine]) -> int:
    return sum(len(line.data) for line in lines)
