"""`botdock ps`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from botdock_cli.options import ConfigFile, Json, complete_engines, complete_runtimes
from botdock_cli.session import Session

if TYPE_CHECKING:
    from botdock.executions import ExecutionRecord

NAME = "ps"
SUMMARY = "List executions: those under way, or with -a those that ended too."
HELP = """Nothing but the state folder is asked: neither an engine nor a network is needed.

STATE is starting, running, stopping, or, of one that ended, its outcome; abandoned means that its runner died, and
`botdock recover` finishes it.

\b
Examples:
  botdock ps
  botdock ps -a --bot sma -n 20
  botdock ps -a --outcome failed --since 1d
  botdock stop $(botdock ps -q --bot sma)
  botdock ps -a --json | jq -r '.[] | select(.exit_code == 3).execution_id'

\b
Exit codes: 0; 2 for wrong usage; 125 when the state folder cannot be read."""
_HEADINGS = ("EXECUTION", "BOT", "RUNTIME", "ENGINE", "STATE", "REQUESTED", "FOR")


def command(
    context: typer.Context,
    *,
    all: Annotated[bool, typer.Option("--all", "-a", help="Those that ended, too.")] = False,  # noqa: A002 - the option's name
    bot: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this bot or backtest.")] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this language.", autocompletion=complete_runtimes)
    ] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this engine.", autocompletion=complete_engines)
    ] = None,
    outcome: Annotated[str | None, typer.Option(metavar="NAME", help="Only those that ended so; implies -a.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only those asked for since TIME.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the newest N; implies -a.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only their ids.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """List executions."""
    from datetime import UTC, datetime

    from botdock_cli.moments import NANOSECONDS
    from botdock_cli.output import print_json, print_text
    from botdock_cli.request import moment_option, outcome_option

    since_ns = moment_option("--since", since)
    records = (
        context.ensure_object(Session)
        .executions()
        .list(
            bot=bot,
            runtime=runtime,
            engine=engine,
            outcome=outcome_option("--outcome", outcome),
            running=None if all or outcome or limit else True,
            since=None if since_ns is None else datetime.fromtimestamp(since_ns / NANOSECONDS, UTC),
            limit=limit,
        )
    )
    if json:
        return print_json([record.to_json() for record in records])
    return print_text(_ids(records) if quiet else _table(records))


def _ids(records: Sequence[ExecutionRecord]) -> list[str]:
    return [record.execution_id for record in records]


def _table(records: Sequence[ExecutionRecord]) -> list[str]:
    from datetime import UTC, datetime

    from botdock_cli.outcomes import format_seconds
    from botdock_cli.output import aligned
    from botdock_cli.report import printable

    now, rows = datetime.now(UTC), []
    for record in records:
        took = (record.finished_at or now) - record.started_at if record.started_at else None
        cells = (record.execution_id, record.id, record.runtime, record.engine, record.outcome or record.state)
        ago = f"{format_seconds((now - record.requested_at).total_seconds())} ago"
        rows.append((*map(printable, cells), ago, format_seconds(took.total_seconds()) if took else ""))
    return aligned([_HEADINGS, *rows])
