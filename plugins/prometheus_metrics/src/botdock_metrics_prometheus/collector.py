"""Botdock's numbers as Prometheus has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import attrs
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from botdock.model import MetricsSnapshot, OperationStats
from botdock.model.metrics import DURATION_BUCKETS, Labels

_BOUNDS = (*(str(bound) for bound in DURATION_BUCKETS), "+Inf")
_OURS = frozenset({"operation", "le"})
"""Labels that have a meaning of their own here."""


@attrs.frozen
class _Series:
    labels: tuple[str, ...]
    stats: OperationStats


class SnapshotCollector(Collector):
    """Answers a scrape from the last snapshot; before the first, with nothing."""

    def __init__(self) -> None:
        self.snapshot: MetricsSnapshot | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the families: three counters and a histogram, each labelled with `operation`."""
        if self.snapshot is None:
            return
        names, series = _series(self.snapshot)
        yield _counter("botdock_operations", "How often it was done.", names, ((s, s.stats.count) for s in series))
        yield _counter("botdock_operation_errors", "How often it failed.", names, ((s, s.stats.errors) for s in series))
        yield _counter("botdock_operation_bytes", "Bytes it moved.", names, ((s, s.stats.bytes) for s in series))
        yield _durations(names, series)


def _series(snapshot: MetricsSnapshot) -> tuple[list[str], list[_Series]]:
    """Return the names of all labels, and all series; a label that a series lacks is empty, which counts as absent."""
    found = {_label(name) for _, labels in snapshot.operations for name, _ in labels}
    names = ["operation", *sorted(found)]
    return names, [_one(names, key, stats) for key, stats in sorted(snapshot.operations.items(), key=lambda i: i[0])]


def _one(names: Sequence[str], key: tuple[str, Labels], stats: OperationStats) -> _Series:
    operation, labels = key
    values = {"operation": operation, **{_label(name): value for name, value in labels}}
    return _Series(tuple(values.get(name, "") for name in names), stats)


def _label(name: str) -> str:
    """Return `name` as Prometheus allows it."""
    allowed = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"label_{allowed}" if name in _OURS or not allowed[:1].isalpha() else allowed


def _counter(
    name: str, documentation: str, labels: Sequence[str], values: Iterable[tuple[_Series, int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for series, value in values:
        family.add_metric(series.labels, value)
    return family


def _durations(labels: Sequence[str], series: Iterable[_Series]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "botdock_operation_duration_seconds", "How long it took, where it was timed.", labels=labels
    )
    for one in series:
        if one.stats.buckets[-1]:
            buckets = [(bound, float(count)) for bound, count in zip(_BOUNDS, one.stats.buckets, strict=True)]
            family.add_metric(one.labels, buckets, sum_value=one.stats.seconds)
    return family
