"""`botdock metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.output import print_json, print_text
from botdock_cli.report import say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from botdock.model import OperationStats
    from botdock.services import MetricsTotal

NAME = "metrics"
SUMMARY = "Show what was counted: executions, phases, containers, logs, storage."
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


def command(
    context: typer.Context,
    *,
    reset: Annotated[
        bool, typer.Option("--reset", help="Begin again from nothing; runners that still run go on from here.")
    ] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Show the metrics."""
    from botdock.services import metrics_folder, read_total, reset_total, summary_table

    session = context.ensure_object(Session)
    folder = metrics_folder(session.load_config().checked_home())
    session.show_log()
    total = reset_total(folder) if reset else read_total(folder)
    if json:
        return print_json(_as_document(total, reset=reset))
    header = f"since {_time(total.snapshot.since)}: {_runners(total)}"
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


def _runners(total: MetricsTotal) -> str:
    return f"{total.runners:,} {'runner' if total.runners == 1 else 'runners'}"


def _reset_text(total: MetricsTotal) -> str:
    if not total.snapshot.operations:
        return "there was nothing to forget; counting begins now"
    return f"forgotten: all that was counted since {_time(total.snapshot.since)}\nCounting begins again now."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
