"""`botdock report`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_executions, complete_files, ids_argument, json_option
from botdock_cli.session import Session

HELP = """Each ID is an execution id, the beginning of one, a container's id, or a bot's id, which means its newest
execution. The page shows the metrics, plots and tables that the bots returned, the facts of each run, and the end of
its log; of several IDs, the metrics stand side by side, the best of each marked, and the curves lie in the same plots.

It is one file that fetches nothing. What bots returned is a stranger's: nothing of it runs in your browser. What does
not have the form that is drawn is told on stderr, and on the page.

\b
Examples:
  botdock report sma
  botdock report sma rsi -o compared.html
  botdock report sma -o - | mail -s report me@example.org

\b
Exit codes: 0; 2 when there is no such execution; 125 when it cannot be read, or FILE cannot be written."""

_TOLD = 5
"""Wrong parts of one value that are told on stderr."""


@verb("report", HELP)
@ids_argument(complete_executions)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    shell_complete=complete_files,
    help="Where the page goes, - for stdout. Else report-<execution id>.html.",
)
@json_option
def command(session: Session, *, ids: Sequence[str], output: str | None, as_json: bool) -> int:
    """Write a report."""
    from pathlib import Path

    from botdock.errors import BotdockError
    from botdock_cli.output import print_json, print_text, print_whole
    from botdock_cli.values import OptionError
    from botdock_reports import check, render, run_of

    if as_json and output == "-":
        raise OptionError("--json", "cannot be combined with --output -", hint="Both would go to stdout.")
    executions = session.executions()
    runs = [run_of(executions, name) for name in dict.fromkeys(executions.get(name).execution_id for name in ids)]
    faults = {run.execution_id: check(run.value) for run in runs}
    if not as_json:
        for execution_id, found in faults.items():
            _tell(execution_id, [str(fault) for fault in found])
    page = render(runs)
    if output == "-":
        return print_whole(page)
    path = output or f"report-{runs[0].execution_id}{f'-and-{len(runs) - 1}-more' * (len(runs) > 1)}.html"
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        hint = "Name another file: -o FILE."
        raise BotdockError(f"{path} cannot be written: {error.strerror or error}", hint=hint) from error
    if not as_json:
        return print_text([path])
    told = {
        name: [{"where": one.where, "problem": one.problem, "hint": one.hint} for one in found]
        for name, found in faults.items()
    }
    return print_json({"schema": 1, "file": path, "executions": list(faults), "faults": told})


def _tell(execution_id: str, faults: Sequence[str]) -> None:
    from botdock_cli.report import say

    for fault in faults[:_TOLD]:
        say(f"execution {execution_id}: {fault}")
    if len(faults) > _TOLD:
        say(f"execution {execution_id}: {len(faults) - _TOLD} more; the page tells all")
