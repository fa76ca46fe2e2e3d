"""What botdock counts about itself, and the seam to whoever wants to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Upper bounds in seconds: Prometheus's own defaults, continued to an hour because bots run long."""

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value, from a bounded set: never an id."""


@attrs.frozen(kw_only=True)
class OperationStats:
    """What was recorded under one name and one set of labels.

    Attributes:
        count: How often.
        errors: How often it failed.
        bytes: Bytes moved.
        seconds: Sum of the durations.
        buckets: Cumulative counts per bound of `DURATION_BUCKETS`, and one more for all.
    """

    count: int = 0
    errors: int = 0
    bytes: int = 0
    seconds: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(DURATION_BUCKETS) + 1)

    def quantile(self, share: float) -> float | None:
        """Estimate the duration in seconds below which `share` (0 to 1) of the operations stayed.

        Linear within a bucket, as Prometheus's `histogram_quantile` does it; None when nothing was timed.
        """
        total = self.buckets[-1]
        if not total:
            return None
        rank = share * total
        position = next(index for index, count in enumerate(self.buckets) if count >= rank)
        if position == len(DURATION_BUCKETS):
            return DURATION_BUCKETS[-1]
        low = DURATION_BUCKETS[position - 1] if position else 0.0
        before = self.buckets[position - 1] if position else 0
        inside = self.buckets[position] - before
        return low + (DURATION_BUCKETS[position] - low) * ((rank - before) / inside if inside else 1.0)


@attrs.frozen(kw_only=True)
class MetricsSnapshot:
    """All of it at one instant.

    Attributes:
        taken_at: When, UTC.
        since: When counting began, UTC.
        operations: Per name (`container.create`, `storage.put`, `phase.pull`) and labels, what was recorded.
    """

    taken_at: datetime
    since: datetime
    operations: Mapping[tuple[str, Labels], OperationStats]


class MetricsExporter(ABC):
    """Somewhere that metrics go: an endpoint that is scraped, a file, a push.

    Example:
        >>> class Last(MetricsExporter):
        ...     seen = None
        ...     def export(self, snapshot): self.seen = snapshot
        ...     def close(self): pass
    """

    @abstractmethod
    def export(self, snapshot: MetricsSnapshot) -> None:
        """Take the state of things; called after each execution, and once before `close`."""

    @abstractmethod
    def close(self) -> None:
        """Let go; called once."""
