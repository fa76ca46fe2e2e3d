"""`botdock recover`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, EngineName, Json
from botdock_cli.session import Session

NAME = "recover"
SUMMARY = "Take over the executions whose runner has died, and see them to their end."
HELP = """A bot outlives a runner that is killed, but then nothing collects its log and its result. This finds such
executions in the state folder, takes over those that still run, and finishes those that ended meanwhile: log, result
and outcome are then as complete as if nothing had happened. Those of living runners are left alone. An execution that
is over, but whose container or workspace could not be removed, is finished too; containers and workspaces that belong
to no execution are removed when they are seen for the second time, ten minutes after the first or later.

It stays until all of them have ended, for it is their runner now: a bot whose runner ends is stopped. Ctrl-C only
says which bots those are; a second one stops them in their grace period, and keeps log, result and outcome; a third one
kills them. SIGTERM and SIGHUP stop them at once. Killing this command (SIGKILL) loses nothing either: recover again.

\b
Examples:
  botdock recover
  botdock recover --dry-run                    only say what would be done
  botdock recover --engine process
  botdock recover --json | jq -r '.[].outcome'
  botdock logs -f ID                           what one of them writes meanwhile

\b
Exit codes:
  0      all were finished, however they ended, or there were none
  125    one could not be finished and is named, or botdock could not do its part
  2      wrong usage, or a configuration that is wrong
  128+N  signal N stopped them; their logs and outcomes are kept"""


def command(
    context: typer.Context,
    *,
    engine: EngineName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Recover, and return what to exit with."""
    from botdock_cli.recovering import foresee, recover

    return (foresee if dry_run else recover)(context.ensure_object(Session), engine=engine, as_json=json)
