"""`botdock ps`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_bots, complete_engines, complete_outcomes, complete_runtimes, json_option
from botdock_cli.session import Session

if TYPE_CHECKING:
    from botdock.executions import ExecutionRecord

HELP = """Nothing but the state folder is asked: neither an engine nor a network is needed.

STATE is queued (it waits for its turn, or for a supervisor), restarting (n) (it waits for the time of the nth
restart), starting, running, stopping, or, of one that ended, its outcome; abandoned means that its runner died, and
`botdock recover` finishes it, or a supervisor. Of a bot that fails again and again, the number of restarts in a row and
`crash loop` follow, and WHY is its last error; of one that its engine has not started yet, WHY is what that waits for.

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


@verb("ps", HELP)
@click.option("--all", "-a", "everything", is_flag=True, help="Those that ended, too.")
@click.option("--bot", metavar="ID", shell_complete=complete_bots, help="Only those of this bot or backtest.")
@click.option("--runtime", metavar="NAME", shell_complete=complete_runtimes, help="Only those of this language.")
@click.option("--engine", metavar="NAME", shell_complete=complete_engines, help="Only those of this engine.")
@click.option(
    "--outcome", metavar="NAME", shell_complete=complete_outcomes, help="Only those that ended so; implies -a."
)
@click.option("--since", metavar="TIME", help="Only those asked for since TIME.")
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Only the newest N; implies -a.")
@click.option("--quiet", "-q", is_flag=True, help="Only their ids.")
@json_option
def command(
    session: Session,
    *,
    everything: bool,
    bot: str | None,
    runtime: str | None,
    engine: str | None,
    outcome: str | None,
    since: str | None,
    limit: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """List executions."""
    from datetime import UTC, datetime

    from botdock_cli.output import print_json, print_text
    from botdock_cli.values import NANOSECONDS, moment_option, outcome_option

    since_ns = moment_option("--since", since)
    records = session.executions().list(
        bot=bot,
        runtime=runtime,
        engine=engine,
        outcome=outcome_option("--outcome", outcome),
        running=None if everything or outcome or limit else True,
        since=None if since_ns is None else datetime.fromtimestamp(since_ns / NANOSECONDS, UTC),
        limit=limit,
    )
    if as_json:
        return print_json([record.to_json() for record in records])
    return print_text([one.execution_id for one in records] if quiet else _table(records))


def _table(records: Sequence[ExecutionRecord]) -> list[str]:
    from datetime import UTC, datetime

    from botdock_cli.output import aligned, format_seconds
    from botdock_cli.report import printable

    now, rows = datetime.now(UTC), []
    for record in records:
        took = (record.finished_at or now) - record.started_at if record.started_at else None
        cells = (record.execution_id, record.id, record.runtime, record.engine, _state(record))
        ago = f"{format_seconds((now - record.requested_at).total_seconds())} ago"
        lasts = format_seconds(took.total_seconds()) if took else ""
        why = record.last_error if record.is_crash_loop else record.waits_for
        rows.append((*map(printable, cells), ago, lasts, printable(why)))
    if any(row[-1] for row in rows):
        return aligned([(*_HEADINGS, "WHY"), *rows])
    return aligned([_HEADINGS, *(row[:-1] for row in rows)])


def _state(record: ExecutionRecord) -> str:
    """Return where it stands, and what has become of its bot before, where that is not well."""
    stands = str(record.outcome or record.state)
    if record.is_crash_loop:
        return f"{stands} ({record.in_a_row}), crash loop"
    return f"{stands} ({record.restarts})" if record.state == "restarting" else stands
