"""`botdock run`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import ConfigFile, Json, RunRequest, takes_run_options
from botdock_cli.session import Session

NAME = "run"
SUMMARY = "Run a bot or a backtest, and show what it prints."
HELP = """CODE is a folder, an archive, or a key in the configured storage. The bot's stdout and stderr come out
exactly as they are. Ctrl-C stops the bot and lets it finish; a second one kills it.

\b
Examples:
  botdock run examples/hello-python
  botdock run examples/sma-crossover --entrypoint backtest --json
  botdock run bot.zip --timeout 5m --memory 1GiB --secret API_KEY
  botdock run bots/alert.zip --storage minio --config @alert.json --persist

\b
Exit codes:
  0        the bot succeeded
  1-255    the bot's own code when it failed; 1 when it has none
  1        it wrote more to stdout and stderr than it may
  124      it ran longer than its wall time
  137      it was killed for exceeding its memory
  143      it was stopped (Ctrl-C, SIGTERM)
  128+N    signal N, which botdock did not send, ended it
  125      botdock could not do its part
  2        wrong usage
  130      interrupted before the bot was started

A limit without an option is set by its configuration key: --set runtime.limits.output=128MiB."""


@takes_run_options
def command(
    context: typer.Context,
    *,
    request: RunRequest,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Run one execution to its end, and return what to exit with."""
    from botdock_cli.execution import run_to_end

    return run_to_end(request, context.ensure_object(Session), as_json=json, quiet=quiet)
