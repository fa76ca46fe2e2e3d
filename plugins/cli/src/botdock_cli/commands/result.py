"""`botdock result`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json, complete_executions
from botdock_cli.session import Session

NAME = "result"
SUMMARY = "Show what bots returned."
HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. The value is printed as JSON; with --json it stands in an object, beside the execution and its outcome. Of
several IDs, a list is printed.

\b
Examples:
  botdock result sma
  botdock result sma | jq .pnl
  botdock result 01k5x --json

\b
Exit codes: 0; 2 when there is no such execution, or no result yet; 125 when it cannot be read."""


def command(
    context: typer.Context,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Executions, or bots.", autocompletion=complete_executions)
    ],
    *,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Show a result."""
    from botdock_cli.output import print_json

    executions = context.ensure_object(Session).executions()
    records = [executions.get(name) for name in ids]
    shown = []
    for record in records:
        value = executions.result(record.execution_id)
        known = {"schema": 1, "execution_id": record.execution_id, "id": record.id, "outcome": record.outcome}
        shown.append({**known, "value": value} if json else value)
    return print_json(shown if len(shown) > 1 else shown[0])
