"""`botdock metrics`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

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
    from botdock_cli.metering import show_metrics

    return show_metrics(context.ensure_object(Session), reset=reset, as_json=json)
