"""The command `botdock`: its global options, its verbs, and the one place where errors end.

Only typer is imported here; a command imports what it needs when it runs, so that help and completion stay quick.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from botdock_cli.commands import VERBS
from botdock_cli.options import ConfigFile
from botdock_cli.report import EXIT_INTERRUPTED, report, say
from botdock_cli.session import Session

HELP = """Run other people's code in single-use, locked-down containers.

\b
Examples:
  botdock run examples/hello-python             run a bot, in Docker where it answers
  botdock run bot.zip --timeout 30s --json      from an archive; one JSON document at the end
  botdock run bot/ --engine process             without Docker, and without isolation
  botdock doctor                                what works here, and what mends the rest
  botdock pack bot/                             make the archive
"""

EPILOG = """\b
Exit codes:
  0        the bot succeeded            124      it timed out
  1-255    its own code when it failed  137      it was killed for memory
  128+N    signal N ended it            143      it was stopped
  125      botdock could not do its part
  2        wrong usage

`botdock VERB --help` explains a verb. Documentation: the docs folder of the botdock repository."""

app = typer.Typer(
    name="botdock",
    help=HELP,
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 116},
)
for verb in VERBS:
    app.command(verb.NAME, help=f"{verb.SUMMARY}\n\n{verb.HELP}", short_help=verb.SUMMARY)(verb.command)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        from importlib.metadata import version

        typer.echo(f"botdock {version('botdock')} (command line {version('botdock-cli')})")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
    debug: Annotated[
        bool, typer.Option("--debug", envvar="BOTDOCK_DEBUG", help="Show tracebacks and the log.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback shows it
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Take the global options."""
    context.ensure_object(Session).debug = debug


def main(args: list[str]) -> int:
    """Run one command line, and return what the process exits with. Raises nothing but what ends a process."""
    session = Session()
    if args[:1] == ["--show-completion"] and args[1:]:
        # typer asks which shell called it; with a name behind it, nobody needs to guess
        os.environ["_BOTDOCK_COMPLETE"] = f"source_{args[1]}"
    try:
        group = typer.main.get_command(app)
        code = group.main(args or ["--help"], prog_name="botdock", standalone_mode=False, obj=session)
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place that can turn an error into a line
        return report(error, debug=session.debug)
    return code if isinstance(code, int) else 0


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    sys.exit(main(sys.argv[1:]))
