"""`botdock wait`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_running, ids_argument, json_option
from botdock_cli.session import Session

HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. One line each: its id, its outcome, and the bot's exit code.

\b
Examples:
  botdock wait sma
  botdock wait --timeout 10m 01k5x && botdock result 01k5x

\b
Exit codes:
  0        all succeeded
  1-255    what `botdock run` exits with for the first that did not
  124      --timeout went by first
  125      a runner died; `botdock recover` finishes its executions
  2        wrong usage, or no such execution"""

_TIMED_OUT = 124


@verb("wait", HELP)
@ids_argument(complete_running)
@click.option("--timeout", metavar="TIME", help="Give up after so long. Else never.")
@json_option
def command(session: Session, *, ids: Sequence[str], timeout: str | None, as_json: bool) -> int:
    """Wait for executions."""
    import time

    from botdock.executions import ExecutionState
    from botdock_cli.outcomes import exit_code_of
    from botdock_cli.output import print_json, print_text
    from botdock_cli.values import seconds_option

    seconds = seconds_option("--timeout", timeout)
    deadline = None if seconds is None else time.monotonic() + seconds
    executions = session.executions()
    records = []
    codes = []
    for execution_id in [executions.get(name).execution_id for name in ids]:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        record = executions.wait(execution_id, timeout=left)
        records.append(record)
        unfinished = record.outcome is None and record.state is not ExecutionState.ABANDONED
        codes.append(_TIMED_OUT if unfinished else exit_code_of(record.outcome, record.exit_code))
        if not as_json:
            known = "" if record.exit_code is None else f"  {record.exit_code}"
            print_text([f"{execution_id}  {record.outcome or record.state}{known}"])
    printed = print_json([record.to_json() for record in records]) if as_json else 0
    return next(filter(None, codes), 0) or printed
