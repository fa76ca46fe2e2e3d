"""What botdock counts about itself."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

import attrs

from botdock._log import logger
from botdock.model.metrics import (
    DURATION_BUCKETS,
    Labels,
    MetricsExporter,
    MetricsSnapshot,
    OperationStats,
)
from botdock.model.result import ExecutionResult
from botdock.model.units import format_bytes


@attrs.define
class _Counter:
    """The mutable twin of `OperationStats`; buckets are counted singly and summed up when somebody looks."""

    count: int = 0
    errors: int = 0
    bytes: int = 0
    seconds: float = 0.0
    buckets: list[int] = attrs.field(factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))

    def freeze(self) -> OperationStats:
        return OperationStats(
            count=self.count,
            errors=self.errors,
            bytes=self.bytes,
            seconds=self.seconds,
            buckets=tuple(accumulate(self.buckets)),
        )


class MetricsService:
    """Counts operations, errors, bytes and durations; safe to use from many threads.

    Labels come from bounded sets (operation, runtime, engine, outcome); an id is never one.

    Args:
        exporters: Told of the state after each execution; one that raises is logged and asked again next time.
    """

    def __init__(self, exporters: Sequence[MetricsExporter] = ()) -> None:
        self._exporters = tuple(exporters)
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], _Counter] = {}
        self._since = datetime.now(UTC)

    def record_container_operation(self, operation: str, duration: float, success: bool) -> None:  # noqa: FBT001 - the seed's signature
        """Record one call to an engine, such as `create`, that took `duration` seconds."""
        self.record(f"container.{operation}", seconds=duration, success=success)

    def record_log_operation(self, operation: str, success: bool, size: int = 0) -> None:  # noqa: FBT001 - the seed's signature
        """Record one step of collecting logs, such as `collect`, over `size` bytes."""
        self.record(f"log.{operation}", size=size, success=success)

    def record_storage_operation(
        self,
        operation: str,
        size: int,
        success: bool,  # noqa: FBT001 - the seed's signature
        duration: float | None = None,
    ) -> None:
        """Record one call to a storage, such as `put`, that moved `size` bytes in `duration` seconds."""
        self.record(f"storage.{operation}", seconds=duration, size=size, success=success)

    def record_execution(self, result: ExecutionResult) -> None:
        """Record a finished execution and each of its phases, then tell the exporters."""
        labels = (("engine", result.engine), ("runtime", result.runtime))
        outcome = result.outcome.value if result.outcome else "unknown"
        self.record(
            "execution",
            labels=(labels[0], ("outcome", outcome), labels[1]),
            seconds=result.duration,
            size=result.log.bytes,
            success=result.succeeded,
        )
        for phase, seconds in result.phases.items():
            self.record(f"phase.{phase}", labels=labels, seconds=seconds)
        self.export()

    def record(
        self, name: str, *, labels: Labels = (), seconds: float | None = None, size: int = 0, success: bool = True
    ) -> None:
        """Record one operation under `name` and `labels`.

        Args:
            name: Such as `container.create`.
            labels: Sorted pairs, from a bounded set.
            seconds: How long it took; None when it was not timed.
            size: Bytes it moved.
            success: Whether it did what it should.
        """
        bucket = None if seconds is None else bisect.bisect_left(DURATION_BUCKETS, seconds)
        with self._lock:
            counter = self._counters.get((name, labels)) or self._counters.setdefault((name, labels), _Counter())
            counter.count += 1
            counter.errors += not success
            counter.bytes += size
            if seconds is not None and bucket is not None:
                counter.seconds += seconds
                counter.buckets[bucket] += 1

    def get_metrics(self) -> MetricsSnapshot:
        """Return everything that was counted, as of one instant."""
        with self._lock:
            operations = {key: counter.freeze() for key, counter in self._counters.items()}
            since = self._since
        return MetricsSnapshot(taken_at=datetime.now(UTC), since=since, operations=operations)

    def reset_metrics(self) -> MetricsSnapshot:
        """Begin again from nothing, and return what there was; no record falls between the two."""
        with self._lock:
            counters, self._counters = self._counters, {}
            since, self._since = self._since, datetime.now(UTC)
        operations = {key: counter.freeze() for key, counter in counters.items()}
        return MetricsSnapshot(taken_at=self._since, since=since, operations=operations)

    def log_metrics_summary(self) -> str:
        """Write a table of all operations to botdock's log, and return it."""
        table = summary_table(self.get_metrics())
        logger.bind(table=table).info("metrics\n{}", table)
        return table

    def export(self) -> None:
        """Tell the exporters how things stand."""
        if not self._exporters:
            return
        snapshot = self.get_metrics()
        for exporter in self._exporters:
            try:
                exporter.export(snapshot)
            except Exception as error:  # noqa: BLE001 - a third party's exporter must not break an execution
                logger.bind(exporter=type(exporter).__name__, error=repr(error)).warning("metrics export failed")

    def close(self) -> None:
        """Export once more and let go of the exporters."""
        self.export()
        for exporter in self._exporters:
            try:
                exporter.close()
            except Exception as error:  # noqa: BLE001 - the same
                logger.bind(exporter=type(exporter).__name__, error=repr(error)).warning("metrics exporter not closed")


def summary_table(snapshot: MetricsSnapshot) -> str:
    """Return the snapshot as a table for people: one line per operation and labels."""
    head = ("operation", "count", "errors", "bytes", "p50", "p95", "p99")
    rows = [head, *(_row(name, labels, stats) for (name, labels), stats in sorted(snapshot.operations.items()))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(name: str, labels: Labels, stats: OperationStats) -> tuple[str, ...]:
    shown = name + "".join(f" {key}={value}" for key, value in labels)
    times = (stats.quantile(share) for share in (0.5, 0.95, 0.99))
    seconds = ("-" if time is None else f"{time:.3f}s" for time in times)
    return (shown, str(stats.count), str(stats.errors), format_bytes(stats.bytes), *seconds)
