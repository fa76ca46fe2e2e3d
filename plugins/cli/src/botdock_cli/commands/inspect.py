"""`botdock inspect`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, complete_executions
from botdock_cli.session import Session

NAME = "inspect"
SUMMARY = "Show all that is known of executions, as JSON."
HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. One gives an object, several a list of them. `request` is what was asked for, of secrets only
the names; `end` is how it ended, with the evidence; the steps it went through are in `events`.

\b
Examples:
  botdock inspect sma
  botdock inspect sma | jq .end.evidence
  botdock inspect sma | jq -r '.events[] | "\\(.time_ns) \\(.event)"'

\b
Exit codes: 0; 2 when there is no such execution."""


def command(
    context: typer.Context,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Executions, or bots.", autocompletion=complete_executions)
    ],
    *,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Show what is known."""
    from botdock_cli.output import print_json

    found = [*map(context.ensure_object(Session).executions().inspect, ids)]
    return print_json(found if len(found) > 1 else found[0])
