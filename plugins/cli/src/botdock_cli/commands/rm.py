"""`botdock rm`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, complete_executions
from botdock_cli.session import Session

NAME = "rm"
SUMMARY = "Remove executions that have ended, with their logs and results."
HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. What a storage was given stays there. `botdock gc` removes old ones.

\b
Examples:
  botdock rm 01k5x
  botdock rm -f sma                            stop it first
  botdock rm $(botdock ps -aq --outcome failed)

\b
Exit codes:
  0    all are gone
  2    wrong usage, no such execution, or one that has not ended; then none is removed
  125  one could not be removed, or, with -f, not be stopped"""


def command(
    context: typer.Context,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Executions, or bots.", autocompletion=complete_executions)
    ],
    *,
    force: Annotated[bool, typer.Option("--force", "-f", help="Stop those that have not ended.")] = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Remove executions."""
    from botdock_cli.commands.stop import PATIENCE
    from botdock_cli.output import print_text

    executions = context.ensure_object(Session).executions()
    records = {record.execution_id: record for record in map(executions.get, ids)}
    if force:
        for execution_id in records:
            executions.request_stop(execution_id)
        records = {execution_id: executions.wait(execution_id, timeout=PATIENCE) for execution_id in records}
    for record in records.values():
        executions.check_removable(record)
    for execution_id in records:
        executions.remove(execution_id)
    return print_text(records)
