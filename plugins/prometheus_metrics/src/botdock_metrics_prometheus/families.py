"""Which metrics there are: how botdock's names become Prometheus's names, units and labels.

    execution                 botdock_executions_total, botdock_execution_...
    phase.pull                botdock_phase_duration_seconds{phase="pull"}
    container.create          botdock_container_operations_total{operation="create"}, ...
    log.gap, storage.put      botdock_log_..., botdock_storage_..., botdock_cache_...
    anything.else             botdock_plugin_operations_total{operation="anything.else"}, ...

Names of metrics never come from what was recorded, labels do: so there are as many metrics as stand here, whatever
plugins record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from botdock.model.metrics import DURATION_BUCKETS, OTHER

if TYPE_CHECKING:
    from botdock.model import MetricsSnapshot, OperationStats
    from botdock.model.metrics import Series

_OPERATIONS = {
    "container": "on containers and images",
    "storage": "on the storage",
    "log": "of the log collector",
    "cache": "of the code cache",
    "plugin": "that plugins recorded",
}
"""The kinds that have an operation as label, and how their help texts go on; `plugin` takes what botdock lacks."""
_OURS = frozenset({"operation", "phase", "result", "le"})
"""Labels that have a meaning of their own here."""
_FIXED = {"execution": ("engine", "runtime", "outcome"), "phase": ("phase", "engine", "runtime")}
_BOUNDS = (*(str(bound) for bound in DURATION_BUCKETS), "+Inf")


@attrs.frozen
class _Table:
    """All series of one kind; series whose labels become alike are added up.

    Attributes:
        labels: Names of labels.
        rows: What was recorded, by the values of the labels, sorted.
    """

    labels: tuple[str, ...]
    rows: dict[tuple[str, ...], OperationStats]


def render(snapshot: MetricsSnapshot | None) -> bytes:
    """Return a snapshot in Prometheus's text format; nothing for None."""
    registry = CollectorRegistry(auto_describe=False)
    if snapshot is not None:
        registry.register(_SnapshotCollector(snapshot))
    return generate_latest(registry)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each with its help and its unit."""
        tables = _tables(self._snapshot.operations)
        since = self._snapshot.since.timestamp()
        help_ = "When counting began, in seconds since 1970."
        yield GaugeMetricFamily("botdock_metrics_since_timestamp_seconds", help_, value=since)
        folded = self._snapshot.operations.get(OTHER)
        help_ = "Records whose names or labels were too many to be kept apart, and that no other metric counts."
        yield CounterMetricFamily("botdock_metrics_folded_records", help_, value=folded.count if folded else 0)
        if execution := tables.get("execution"):
            yield from _executions(execution)
        if phase := tables.get("phase"):
            yield _durations("botdock_phase", "Duration of one phase of an execution.", phase)
        for kind in _OPERATIONS:
            if table := tables.get(kind):
                yield from _operations(kind, table)


def _tables(operations: Mapping[Series, OperationStats]) -> dict[str, _Table]:
    """Sort what was recorded by kind; `OTHER` belongs to none of them."""
    found: dict[str, list[tuple[dict[str, str], OperationStats]]] = {}
    for (name, labels), stats in operations.items():
        if (name, labels) != OTHER:
            kind, own = _kind(name)
            found.setdefault(kind, []).append((own | {_label(label): value for label, value in labels}, stats))
    return {kind: _table(kind, series) for kind, series in found.items()}


def _kind(name: str) -> tuple[str, dict[str, str]]:
    first, dot, rest = name.partition(".")
    if name == "execution":
        return name, {}
    if first == "phase" and rest:
        return first, {"phase": rest}
    if first in _OPERATIONS and first != "plugin" and dot:
        return first, {"operation": rest}
    return "plugin", {"operation": name}


def _label(name: str) -> str:
    """Return `name` as Prometheus allows it; names that begin with `__` are its own."""
    allowed = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"label_{allowed}" if name in _OURS or not allowed[:1].isalpha() else allowed


def _table(kind: str, series: Iterable[tuple[dict[str, str], OperationStats]]) -> _Table:
    series = list(series)
    fixed = _FIXED.get(kind, ("operation",))
    names = (*fixed, *sorted({name for labels, _ in series for name in labels} - set(fixed)))
    rows: dict[tuple[str, ...], OperationStats] = {}
    for labels, stats in series:
        values = tuple(labels.get(name, "") for name in names)
        rows[values] = rows[values].plus(stats) if values in rows else stats
    return _Table(names, {values: rows[values] for values in sorted(rows)})


def _executions(table: _Table) -> Iterator[Metric]:
    yield _counter("botdock_executions", "Executions that have ended, by outcome.", table, lambda stats: stats.count)
    help_ = "Duration of an execution, from the start of its container to its end."
    yield _durations("botdock_execution", help_, table)
    help_ = "Bytes that bots wrote to stdout and stderr."
    yield _counter("botdock_execution_output_bytes", help_, table, lambda stats: stats.bytes)


def _operations(kind: str, table: _Table) -> Iterator[Metric]:
    about = _OPERATIONS[kind]
    yield _results(f"botdock_{kind}_operations", f"Operations {about}, by result.", table)
    if kind != "container":  # calls to the engine record no bytes
        help_ = f"Bytes moved by operations {about}."
        yield _counter(f"botdock_{kind}_bytes", help_, table, lambda stats: stats.bytes)
    if any(stats.timed for stats in table.rows.values()):
        yield _durations(f"botdock_{kind}_operation", f"Duration of operations {about}.", table)


def _counter(name: str, help_: str, table: _Table, value: Callable[[OperationStats], int]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=table.labels)
    for labels, stats in table.rows.items():
        family.add_metric(labels, value(stats))
    return family


def _results(name: str, help_: str, table: _Table) -> Metric:
    """Count successes and errors; both are always there, so that a ratio of them is too."""
    family = CounterMetricFamily(name, help_, labels=(*table.labels, "result"))
    for labels, stats in table.rows.items():
        family.add_metric((*labels, "success"), stats.count - stats.errors)
        family.add_metric((*labels, "error"), stats.errors)
    return family


def _durations(name: str, help_: str, table: _Table) -> Metric:
    family = HistogramMetricFamily(f"{name}_duration_seconds", help_, labels=table.labels)
    for labels, stats in table.rows.items():
        if stats.timed:
            buckets = [(bound, float(count)) for bound, count in zip(_BOUNDS, stats.buckets, strict=True)]
            family.add_metric(labels, buckets, sum_value=stats.seconds)
    return family
