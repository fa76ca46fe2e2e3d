"""`botdock rm`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_executions, ids_argument, json_option
from botdock_cli.session import Session

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
  2    wrong usage, no such execution, or one that has not ended, or may be restarted; then none is removed
  125  one could not be removed, or, with -f, not be stopped"""


@verb("rm", HELP)
@ids_argument(complete_executions)
@click.option("--force", "-f", is_flag=True, help="Stop those that have not ended.")
@json_option
def command(session: Session, *, ids: Sequence[str], force: bool, as_json: bool) -> int:
    """Remove executions."""
    from botdock_cli.commands.stop import PATIENCE
    from botdock_cli.output import print_json, print_text

    executions = session.executions()
    records = {record.execution_id: record for record in map(executions.get, ids)}
    if force:
        for execution_id in records:
            executions.request_stop(execution_id)
        records = {execution_id: executions.wait(execution_id, timeout=PATIENCE) for execution_id in records}
    for record in records.values():
        executions.check_removable(record)
    for execution_id in records:
        executions.remove(execution_id)
    return print_json([one.to_json() for one in records.values()]) if as_json else print_text(records)
