"""`botdock metrics`: the sum over all runners of the state folder, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdock.model.metrics import DURATION_BUCKETS
from botdock.services.metrics import metrics_folder, read_total, reset_total, summary_table
from botdock_cli import diagnostics
from botdock_cli.output import print_json, print_text
from botdock_cli.report import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from botdock.model import OperationStats
    from botdock.model.metrics import Labels
    from botdock.services.metrics import MetricsTotal
    from botdock_cli.session import Session


def show_metrics(session: Session, *, reset: bool, as_json: bool) -> int:
    """Show the sum, with `reset` for the last time, and return what to exit with.

    Raises:
        ConfigError: The configuration is wrong.
        MetricsError: The state folder could not be read, or changed.
    """
    folder = metrics_folder(session.load_config().checked_home())
    diagnostics.show_log(everything=session.debug)
    total = reset_total(folder) if reset else read_total(folder)
    if as_json:
        return print_json(as_document(total, reset=reset))
    printed = print_text(as_text(total))
    if reset:
        say(_reset_text(total))
    return printed


def as_text(total: MetricsTotal) -> Iterator[str]:
    """Yield a line that says what is summed up, and the table."""
    yield f"since {_time(total.snapshot.since)}: {_runners(total)}"
    yield ""
    yield from summary_table(total.snapshot).splitlines()


def as_document(total: MetricsTotal, *, reset: bool) -> dict[str, Any]:
    """Return the sum as data: durations in seconds, estimates and all."""
    rows = sorted(total.snapshot.operations.items())
    return {
        "since": total.snapshot.since.isoformat(),
        "taken_at": total.snapshot.taken_at.isoformat(),
        "reset": reset,
        "runners": total.runners,
        "operations": [_operation(name, labels, stats) for (name, labels), stats in rows],
    }


def _operation(name: str, labels: Labels, stats: OperationStats) -> dict[str, Any]:
    return {
        "operation": name,
        "labels": dict(labels),
        "count": stats.count,
        "errors": stats.errors,
        "bytes": stats.bytes,
        "timed": stats.timed,
        "seconds": stats.seconds,
        "p50_seconds": stats.p50,
        "p95_seconds": stats.p95,
        "p99_seconds": stats.p99,
        "buckets": dict(zip([*map(str, DURATION_BUCKETS), "+Inf"], stats.buckets, strict=True)),
    }


def _runners(total: MetricsTotal) -> str:
    return f"{total.runners:,} {'runner' if total.runners == 1 else 'runners'}"


def _reset_text(total: MetricsTotal) -> str:
    if not total.snapshot.operations:
        return "there was nothing to forget; counting begins now"
    return f"forgotten: all that was counted since {_time(total.snapshot.since)}\nCounting begins again now."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
