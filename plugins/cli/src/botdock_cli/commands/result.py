"""`botdock result`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from botdock_cli.commands import verb
from botdock_cli.options import complete_executions, ids_argument, json_option
from botdock_cli.session import Session, is_terminal

HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. The value is printed as JSON; with --json it stands in an object, beside the execution and its outcome. Of
several IDs, a list is printed. On a terminal, a line for each curve of its plots follows, and what keeps a part of it
from being drawn.

\b
Examples:
  botdock result sma
  botdock result sma | jq .pnl
  botdock result 01k5x --json

\b
Exit codes: 0; 2 when there is no such execution, no result yet, or no value in it; 125 when it cannot be read."""


_TOLD = 5
"""Parts of one value that are told because they cannot be drawn."""


@verb("result", HELP)
@ids_argument(complete_executions)
@json_option
def command(session: Session, *, ids: Sequence[str], as_json: bool) -> int:
    """Show a result."""
    from botdock.errors import EXIT_USAGE
    from botdock_cli.output import print_value
    from botdock_cli.report import say

    executions = session.executions()
    shown, nothing, code = [], object(), 0
    for record in [executions.get(name) for name in ids]:
        value = executions.result(record.execution_id, default=nothing)
        if value is nothing:
            say(f"execution {record.execution_id} returned no value: it ended as {record.outcome}")
            value, code = None, EXIT_USAGE
        known = {"schema": 1, "execution_id": record.execution_id, "id": record.id, "outcome": record.outcome}
        shown.append({**known, "value": value} if as_json else value)
    printed = print_value(shown if len(shown) > 1 else shown[0]) if as_json or not code else 0
    if not (as_json or code or printed) and is_terminal(sys.stdout):
        printed = _draw(shown)
    return code or printed


def _draw(values: Sequence[Any]) -> int:
    """Show the curves of values on the terminal."""
    import shutil

    from botdock_cli.output import print_text
    from botdock_cli.report import say
    from botdock_reports import curves, read

    lines: list[str] = []
    for reading in map(read, values):
        lines += curves(reading.plots, width=shutil.get_terminal_size().columns)
        for fault in reading.faults[:_TOLD]:
            say(str(fault))
    return print_text(lines)
