"""`botdock supervise`."""

from __future__ import annotations

import os
import signal

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option
from botdock_cli.session import Session

HELP = """This stays in the foreground, for a service manager: it takes what `botdock start` asks for, watches over it
until its end, restarts what is to be restarted, and goes on with what a supervisor that died has left. There is one for
each state folder. `supervisor.parallel` bounds how many executions run at once.

SIGTERM, SIGINT and SIGHUP hand over: it ends, bots run on, nothing of their logs is lost, and the next supervisor goes
on with them. So an upgrade is a restart of this. Being killed loses nothing either. `botdock stop` ends bots.

It tells systemd when it is ready and that it is alive (Type=notify, WatchdogSec=). With KillMode=process bots without a
container live on, too.

\b
Examples:
  botdock supervise
  botdock supervise --replace                  take over from the one that lives
  botdock --debug supervise                    and show all that it does

\b
Exit codes:
  0    it handed over
  2    another one lives, or the configuration is wrong
  125  the state folder cannot be written"""


@verb("supervise", HELP)
@click.option("--replace", is_flag=True, help="Ask the one that lives to hand over, and wait for that.")
@click.option("--on-demand", is_flag=True, help="End once nothing is left to watch.")
@json_option
def command(session: Session, *, replace: bool, on_demand: bool, as_json: bool) -> int:
    """Supervise until asked to hand over."""
    from botdock.supervisor import Supervisor
    from botdock_cli.output import print_json

    session.show_log(level="INFO")
    supervisor = Supervisor(session.config_file, on_demand=on_demand)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.hand_over())
    supervisor.run(replace=replace)
    return print_json({"schema": 1, "home": str(supervisor.home), "pid": os.getpid()}) if as_json else 0
