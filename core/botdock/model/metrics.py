"""What botdock counts about itself, and the seam to what exports it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import attrs

DURATION_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
)
"""Upper bounds in seconds: Prometheus's own defaults, begun at a millisecond, which is what a call to an engine takes,
and continued to an hour because bots run long."""

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value, from a bounded set: never an id."""

Series = tuple[str, Labels]
"""A name such as `container.create`, and the labels beside it."""

OTHER: Series = ("other", ())
"""Where records are counted whose names or labels were too many, or too long, to be kept apart."""


@attrs.frozen(kw_only=True)
class OperationStats:
    """What was recorded under one name and one set of labels.

    Attributes:
        count: How often.
        errors: How often it failed.
        bytes: Bytes moved.
        seconds: Sum of the durations.
        buckets: Cumulative counts per bound of `DURATION_BUCKETS`, and one more for all that were timed.
    """

    count: int = 0
    errors: int = 0
    bytes: int = 0
    seconds: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(DURATION_BUCKETS) + 1)

    @property
    def timed(self) -> int:
        """How many were timed."""
        return self.buckets[-1]

    @property
    def p50(self) -> float | None:
        """The median of the durations in seconds, estimated; None when nothing was timed."""
        return self.quantile(0.5)

    @property
    def p95(self) -> float | None:
        """The duration in seconds that 95 of 100 stayed below, estimated."""
        return self.quantile(0.95)

    @property
    def p99(self) -> float | None:
        """The duration in seconds that 99 of 100 stayed below, estimated."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> float | None:
        """Estimate the duration in seconds below which `share` (0 to 1) of the operations stayed.

        Linear within a bucket, as Prometheus's `histogram_quantile` does it; None when nothing was timed.
        """
        if not self.timed:
            return None
        rank = share * self.timed
        position = next(index for index, count in enumerate(self.buckets) if count >= rank)
        if position == len(DURATION_BUCKETS):
            return DURATION_BUCKETS[-1]
        low = DURATION_BUCKETS[position - 1] if position else 0.0
        before = self.buckets[position - 1] if position else 0
        inside = self.buckets[position] - before
        return low + (DURATION_BUCKETS[position] - low) * ((rank - before) / inside if inside else 1.0)

    def plus(self, other: OperationStats) -> OperationStats:
        """Return the sum of both."""
        return OperationStats(
            count=self.count + other.count,
            errors=self.errors + other.errors,
            bytes=self.bytes + other.bytes,
            seconds=self.seconds + other.seconds,
            buckets=tuple(map(sum, zip(self.buckets, other.buckets, strict=True))),
        )


def _read_only(operations: Mapping[Series, OperationStats]) -> Mapping[Series, OperationStats]:
    return MappingProxyType(dict(operations))


@attrs.frozen(kw_only=True)
class MetricsSnapshot:
    """All of it at one instant; it never changes.

    Attributes:
        taken_at: When, UTC.
        since: When counting began, UTC.
        operations: Per name (`container.create`, `storage.put`, `phase.pull`) and labels, what was recorded.
        total: The same over all runners of the state folder, those that have ended included; None where it was not
            asked for (see `MetricsExporter.wants_total`), or where it could not be had.
    """

    taken_at: datetime
    since: datetime
    operations: Mapping[Series, OperationStats] = attrs.field(converter=_read_only)
    total: MetricsSnapshot | None = None


class MetricsExporter(ABC):
    """Somewhere that metrics go: an endpoint that is scraped, a file, a push.

    Each exporter is called by a thread of its own, so that one that is slow, blocks or raises delays neither an
    execution nor another exporter: it misses snapshots, and the next one that it takes is the newest.

    Example:
        >>> class Last(MetricsExporter):
        ...     seen = None
        ...     def export(self, snapshot): self.seen = snapshot
        ...     def close(self): pass

    Attributes:
        wants_total: Whether the snapshots are to have a `total`, which costs reading a small file each time.
    """

    wants_total: bool = False

    @abstractmethod
    def export(self, snapshot: MetricsSnapshot) -> None:
        """Take the state of things: after executions, every `metrics.interval`, and once before `close`."""

    @abstractmethod
    def close(self) -> None:
        """Let go; called once, and nothing after it."""
