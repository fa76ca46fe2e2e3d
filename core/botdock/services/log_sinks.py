"""Hands lines to sinks, none of which can hold up a bot, the collection or another sink."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import attrs

from botdock._log import logger, where
from botdock.model.logs import LogLine, LogSink, LogSource

CLOSE_TIMEOUT = 5.0
"""Seconds that all sinks together have to deliver what they hold when the runner closes."""
QUEUE_BYTES = 8 * 1024 * 1024
"""Bytes that wait for each sink at most: 10,000 lines may be 64 KiB each, and 640 MB must not wait for a slow sink."""
WARN_INTERVAL = 60.0
"""Seconds between two warnings about one sink."""
LAST_WARNINGS = 1.0
"""Seconds that the last warnings may take when everything closes."""
_BATCH = 500
"""Lines of one `write` at most."""
_BATCH_BYTES = 1024 * 1024
"""Bytes of one `write` beyond which nothing is added to it."""


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


class SinkFanOut:
    """Offers lines to every sink; a sink that is slow, blocks or raises delays no other, its losses are counted.

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
        self._threads = {
            name: _SinkThread(
                name,
                sink,
                capacity=capacity,
                capacity_bytes=capacity_bytes,
                warn_interval=warn_interval,
                record=on_operation or (lambda _operation, _success, _size: None),
            )
            for name, sink in sinks.items()
        }

    def offer(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        """Queue lines of one execution, in their order, for every sink; never waits.

        What is offered after `close` is dropped, and counted.
        """
        if lines and self._threads and self._is_ours():
            size = _size(lines)
            for thread in self._threads.values():
                thread.offer(source, lines, size)

    def counts(self) -> dict[str, SinkCounts]:
        """Return, per sink, what became of the lines so far: each one offered is delivered, dropped or waiting."""
        return {name: thread.counts() for name, thread in self._threads.items()} if self._is_ours() else {}

    def close(self) -> None:
        """Let every sink deliver what it holds, for `close_timeout` seconds in all; may be called again.

        What is not delivered by then is dropped and counted, and that sink is no longer waited for.
        """
        if not self._threads or self._closed or not self._is_ours():
            return
        self._closed = True
        deadline = time.monotonic() + self._close_timeout
        threads = list(self._threads.values())
        for thread in threads:
            thread.begin_close()
        for thread in threads:
            thread.finish_close(deadline)
        last = threading.Thread(target=self._warn_finally, name="botdock-sink-warnings", daemon=True)
        last.start()
        last.join(LAST_WARNINGS)

    def _warn_finally(self) -> None:
        for thread in self._threads.values():
            thread.warn_finally()

    def _is_ours(self) -> bool:
        """Whether this is the process that has the threads; locks that a fork copied may be held for ever."""
        return os.getpid() == self._process


@attrs.frozen
class _Block:
    """Neighbouring lines of one execution: taken and given together, because a flood has a million of them."""

    source: LogSource
    lines: Sequence[LogLine]
    size: int


class _SinkThread:
    """Takes lines from any thread at once, and gives them to one sink in a thread of its own.

    It warns once at the first loss, and then once an interval with the sums, in a short-lived thread: botdock's log may
    end in the very sink that is stuck, so neither this thread nor one that offers lines may wait for it.
    """

    def __init__(
        self,
        name: str,
        sink: LogSink,
        *,
        capacity: int,
        capacity_bytes: int,
        warn_interval: float,
        record: Callable[[str, bool, int], None],
    ) -> None:
        self._name = name
        self._sink = sink
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._warn_interval = warn_interval
        self._record = record
        self._queue: deque[_Block] = deque()
        self._lines = self._bytes = self._writing = 0
        self._counts: Counter[str] = Counter()
        self._warned: Counter[str] = Counter()
        self._next_warning = 0.0
        self._warning: threading.Timer | None = None
        self._last_error = ""
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"botdock-sink-{name}", daemon=True)
        self._thread.start()

    def offer(self, source: LogSource, lines: Sequence[LogLine], size: int) -> None:
        with self._changed:
            admitted, taken = self._room_for(lines, size)
            self._lines += admitted
            self._bytes += taken
            for start in range(0, admitted, _BATCH):
                part = lines[start : min(start + _BATCH, admitted)]
                self._queue.append(_Block(source, part, taken if len(part) == admitted else _size(part)))
            self._changed.notify()
            if lost := len(lines) - admitted:
                self._count(dropped=lost)
        if lost:
            self._record("sink_drop", False, size - taken)  # noqa: FBT003 - the callback's signature

    def counts(self) -> SinkCounts:
        with self._changed:
            return SinkCounts(**self._counts, waiting=self._lines + self._writing)

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
            left, size = self._lines + self._writing, self._bytes
            self._queue.clear()
            self._lines = self._bytes = self._writing = 0
            self._count(dropped=left)
        if left:
            self._record("sink_drop", False, size)  # noqa: FBT003 - the callback's signature

    def warn_finally(self) -> None:
        if warning := self._warning:
            warning.cancel()
            warning.join()
        self._warn("a log sink did not finish in time" if self._thread.is_alive() else "a log sink loses lines")

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

    def _run(self) -> None:
        while blocks := self._next_blocks():
            lines = [line for block in blocks for line in block.lines]
            delivered = self._attempt(lambda blocks=blocks, lines=lines: self._sink.write(blocks[0].source, lines))  # type: ignore[misc]  # mypy knows no type of a default
            with self._changed:
                self._count(**{"delivered" if delivered else "dropped": self._writing})
                self._writing = 0  # as it was before, if closing has given them up meanwhile
            self._record("sink_write", delivered, sum(block.size for block in blocks))
        self._attempt(self._sink.close)

    def _next_blocks(self) -> list[_Block]:
        """Wait for lines, and return the first ones that share a source; none when it is time to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            blocks: list[_Block] = []
            lines = size = 0
            while self._queue:
                block = self._queue[0]
                fits = lines + len(block.lines) <= _BATCH and size + block.size <= _BATCH_BYTES
                if blocks and not (fits and block.source == blocks[0].source):
                    break
                blocks.append(self._queue.popleft())
                lines += len(block.lines)
                size += block.size
            self._lines -= lines
            self._bytes -= size
            self._writing = lines
            return blocks

    def _attempt(self, call: Callable[[], None]) -> bool:
        """Call the sink; return whether it did not raise."""
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - a sink that calls `sys.exit` must not end its thread either
            self._last_error = where(error)
            self._count(errors=1)
            return False
        return True

    def _count(self, **more: int) -> None:
        with self._changed:
            self._counts.update(more)
            if self._warning or self._closing or not self._untold():
                return
            self._warning = threading.Timer(max(self._next_warning - time.monotonic(), 0.0), self._warn)
            self._warning.daemon = True
            try:
                self._warning.start()
            except RuntimeError:  # no more threads: the next loss tells of this one, too
                self._warning = None

    def _untold(self) -> dict[str, int]:
        untold = {name: self._counts[name] - self._warned[name] for name in ("dropped", "errors")}
        return untold if any(untold.values()) else {}

    def _warn(self, text: str = "a log sink loses lines") -> None:
        with self._changed:
            self._warning = None
            self._next_warning = time.monotonic() + self._warn_interval
            untold, self._warned = self._untold(), self._counts.copy()
            error, self._last_error = self._last_error, ""
        if untold or (self._thread.is_alive() and self._closing):
            extra = {"last_error": error} if error else {}
            logger.bind(sink=self._name, **(untold or {"dropped": 0, "errors": 0}), **extra).warning(text)


def _size(lines: Sequence[LogLine]) -> int:
    return sum(len(line.data) for line in lines)
