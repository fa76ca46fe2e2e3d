"""`botdock inspect`."""

from __future__ import annotations

from collections.abc import Sequence

from botdock_cli.commands import verb
from botdock_cli.options import complete_executions, ids_argument, json_option
from botdock_cli.session import Session

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


@verb("inspect", HELP)
@ids_argument(complete_executions)
@json_option
def command(session: Session, *, ids: Sequence[str], as_json: bool) -> int:  # noqa: ARG001 - it is JSON in any case
    """Show what is known."""
    from botdock_cli.output import print_json

    found = [*map(session.executions().inspect, ids)]
    return print_json(found if len(found) > 1 else found[0])
