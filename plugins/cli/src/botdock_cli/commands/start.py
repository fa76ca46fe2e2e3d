"""`botdock start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option, takes_run_options
from botdock_cli.session import Session

if TYPE_CHECKING:
    from botdock_cli.request import RunRequest

HELP = """CODE and the options are those of `botdock run`. The execution's id is printed, and the request is on disk
then: it outlives this command, the terminal, and the machine's power.

The supervisor runs it: the one of `botdock supervise`, or, where none lives, one that is started in the background and
that ends once nothing is left to watch; what it has to say is in supervisor.log of the state folder. It has its own
configuration (environment, configuration file), to which the options given here are added. What keeps the bot from
being started is its outcome, as `botdock ps -a` shows.

\b
Examples:
  botdock start bots/sma --long-running --restart always
  botdock start bot.zip --id sma --secret API_KEY
  botdock logs -f sma                          what it writes
  botdock wait sma                             wait for its end, and say how
  botdock stop $(botdock start bot.zip)

\b
Exit codes: 0; 2 for wrong usage, code that is not there, or when too many wait (supervisor.queue);
125 when the state folder cannot be written."""


@verb("start", HELP)
@takes_run_options
@click.option("--long-running", is_flag=True, help="No wall time by default; too much output makes room for newer.")
@json_option
def command(session: Session, *, request: RunRequest, long_running: bool, as_json: bool) -> int:
    """Ask the supervisor to run something, and print the id."""
    import attrs

    from botdock.supervisor import submit
    from botdock_cli.output import print_json, print_text

    executable = attrs.evolve(request.executable(), is_long_running=long_running)
    record = submit(executable, config_file=session.config_file, overrides=request.overrides())
    return print_json(record.to_json()) if as_json else print_text([record.execution_id])
