"""`botdock stop`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_running, ids_argument, json_option
from botdock_cli.session import Session

HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution that has not ended. The bot gets SIGTERM and, after the grace period, SIGKILL; log, result and outcome
(`stopped`) are kept. The request is on disk before this waits: Ctrl-C ends the wait, not the stop. One that has ended
already is left alone, but for its restart: that is stopped in its place.

\b
Examples:
  botdock stop sma
  botdock stop --grace 0 01k5x                 kill it
  botdock stop $(botdock ps -q)

\b
Exit codes:
  0    all have ended
  2    wrong usage, or no such execution; then none is stopped
  125  the runner of one is dead (`botdock recover` stops it then), or has not obeyed ten minutes after the grace
  130  Ctrl-C"""

PATIENCE = 600.0
"""Seconds beyond the grace for a runner to end a bot, and to store its log and result; a frozen one never does."""


@verb("stop", HELP)
@ids_argument(complete_running)
@click.option("--grace", metavar="TIME", help="Else the configured one.")
@json_option
def command(session: Session, *, ids: Sequence[str], grace: str | None, as_json: bool) -> int:
    """Stop executions."""
    from botdock.errors import BotdockError
    from botdock_cli.output import print_json, print_text
    from botdock_cli.report import error_document, report
    from botdock_cli.values import seconds_option

    seconds = seconds_option("--grace", grace)
    executions = session.executions()
    for name in ids:  # all of them are there, or none is stopped
        executions.get(name)
    found = [executions.request_stop(name, grace=seconds) for name in ids]  # of a bot, the newest that runs
    code, printed, documents = 0, 0, []
    for record in found:
        try:
            ended = executions.stop(record.execution_id, grace=seconds, timeout=(seconds or 0.0) + PATIENCE)
        except BotdockError as error:  # the others are waited for all the same
            if record.directory.exists():  # else it has ended, and retention has removed it
                code = report(error, debug=False)
                documents.append(error_document(error) | {"execution_id": record.execution_id})
                continue
            ended = record
        documents.append(ended.to_json())
        printed = 0 if as_json else print_text([record.execution_id])
    return (print_json(documents) if as_json else printed) or code
