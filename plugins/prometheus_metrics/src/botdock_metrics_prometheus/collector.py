"""Botdock's numbers as Prometheus has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from botdock.model import MetricsSnapshot, OperationStats
from botdock.model.metrics import DURATION_BUCKETS, OTHER
from botdock_metrics_prometheus.families import OPERATIONS, PLUGIN, Kind, sort_out

_BOUNDS = (*(str(bound) for bound in DURATION_BUCKETS), "+Inf")
_SUBJECTS = {
    "container": "on containers and images",
    "storage": "on the storage",
    "log": "of the log collector",
    "cache": "of the code cache",
    PLUGIN: "that plugins recorded",
}


class SnapshotCollector(Collector):
    """Answers a scrape from one snapshot; before there is one, with nothing."""

    def __init__(self) -> None:
        self.snapshot: MetricsSnapshot | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each with its help and its unit."""
        snapshot = self.snapshot  # once: another may come while this one is told
        if snapshot is None:
            return
        kinds = sort_out(snapshot.operations)
        yield GaugeMetricFamily(
            "botdock_metrics_since_timestamp_seconds",
            "When counting began, in seconds since 1970.",
            value=snapshot.since.timestamp(),
        )
        yield _folded(snapshot)
        if execution := kinds.get("execution"):
            yield from _executions(execution)
        if phase := kinds.get("phase"):
            yield _durations("botdock_phase", "Duration of one phase of an execution.", phase)
        for name in (*OPERATIONS, PLUGIN):
            if kind := kinds.get(name):
                yield from _operations(name, kind)


def _folded(snapshot: MetricsSnapshot) -> Metric:
    stats = snapshot.operations.get(OTHER)
    return CounterMetricFamily(
        "botdock_metrics_folded_records",
        "Records whose names or labels were too many to be kept apart, and that no other metric counts.",
        value=stats.count if stats else 0,
    )


def _executions(kind: Kind) -> Iterator[Metric]:
    yield _counter("botdock_executions", "Executions that have ended, by outcome.", kind, lambda stats: stats.count)
    yield _durations("botdock_execution", "Duration of an execution, from the start of its container to its end.", kind)
    help_ = "Bytes that bots wrote to stdout and stderr."
    yield _counter("botdock_execution_output_bytes", help_, kind, lambda stats: stats.bytes)


def _operations(name: str, kind: Kind) -> Iterator[Metric]:
    about = _SUBJECTS[name]
    yield _results(f"botdock_{name}_operations", f"Operations {about}, by result.", kind)
    if name != "container":  # they move no bytes that anybody counts
        help_ = f"Bytes moved by operations {about}."
        yield _counter(f"botdock_{name}_bytes", help_, kind, lambda stats: stats.bytes)
    if any(row.stats.timed for row in kind.rows):
        yield _durations(f"botdock_{name}_operation", f"Duration of operations {about}.", kind)


def _counter(name: str, help_: str, kind: Kind, value: Callable[[OperationStats], int]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=kind.labels)
    for row in kind.rows:
        family.add_metric(row.labels, value(row.stats))
    return family


def _results(name: str, help_: str, kind: Kind) -> Metric:
    """Count successes and errors; both are always there, so that a ratio of them is too."""
    family = CounterMetricFamily(name, help_, labels=(*kind.labels, "result"))
    for row in kind.rows:
        family.add_metric((*row.labels, "success"), row.stats.count - row.stats.errors)
        family.add_metric((*row.labels, "error"), row.stats.errors)
    return family


def _durations(name: str, help_: str, kind: Kind) -> Metric:
    family = HistogramMetricFamily(f"{name}_duration_seconds", help_, labels=kind.labels)
    for row in kind.rows:
        if row.stats.timed:
            family.add_metric(row.labels, list(_buckets(row.stats.buckets)), sum_value=row.stats.seconds)
    return family


def _buckets(counts: Iterable[int]) -> Iterator[tuple[str, float]]:
    for bound, count in zip(_BOUNDS, counts, strict=True):
        yield bound, float(count)
