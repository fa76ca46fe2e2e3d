"""`botdock metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.output import counted, print_json, print_text
from botdock_cli.report import say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from botdock.model import OperationStats
    from botdock.services import MetricsTotal

HELP = """Sums up all runners of the state folder, those that have ended and those that still run: how often each
operation was done, how often it failed, the bytes it moved, and how long it took. p50, p95 and p99 are estimates: 95 of
100 took no longer than p95. A runner that runs adds what it counts about once a second.

\b
Examples:
  botdock metrics
  botdock metrics --json | jq '.operations[] | select(.operation == "execution")'
  botdock metrics --reset            shows it once more, and begins again from nothing

\b
Prometheus gets the same numbers by the exporter `prometheus`: see docs/how-to/metrics.md.

\b
Exit codes: 0; 2 when the configuration is wrong; 125 when the state folder could not be read."""


@verb("metrics", HELP)
@click.option("--reset", is_flag=True, help="Begin again from nothing; runners that still run go on from here.")
@json_option
def command(session: Session, *, reset: bool, as_json: bool) -> int:
    """Show the metrics."""
    from botdock.services import metrics_folder, read_total, reset_total, summary_table

    folder = metrics_folder(session.home())
    session.show_log()
    total = reset_total(folder) if reset else read_total(folder)
    if as_json:
        return print_json(_as_document(total, reset=reset))
    header = f"since {_time(total.snapshot.since)}: {counted(total.runners, 'runner')}"
    printed = print_text([header, "", *summary_table(total.snapshot).splitlines()])
    if reset:
        say(_reset_text(total))
    return printed


def _as_document(total: MetricsTotal, *, reset: bool) -> dict[str, Any]:
    """Return the sum as data: durations in seconds, estimates and all."""
    rows = sorted(total.snapshot.operations.items())
    return {
        "since": total.snapshot.since.isoformat(),
        "taken_at": total.snapshot.taken_at.isoformat(),
        "reset": reset,
        "runners": total.runners,
        "operations": [_operation(name, labels, stats) for (name, labels), stats in rows],
    }


def _operation(name: str, labels: tuple[tuple[str, str], ...], stats: OperationStats) -> dict[str, Any]:
    from botdock.model import DURATION_BUCKETS

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


def _reset_text(total: MetricsTotal) -> str:
    if not total.snapshot.operations:
        return "there was nothing to forget; counting begins now"
    return f"forgotten: all that was counted since {_time(total.snapshot.since)}\nCounting begins again now."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
