"""The global options of `botdock`, and its verbs.

Only typer is imported here; a command imports what it needs when it runs, so that help and completion stay quick.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from botdock_cli.commands import VERBS
from botdock_cli.options import ConfigFile
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = """Run other people's code in single-use, locked-down containers.

\b
Examples:
  botdock run examples/hello-python             run a bot, in Docker where it answers
  botdock run bot.zip --timeout 30s --json      from an archive; one JSON document at the end
  botdock run bot/ --engine process             without Docker, and without isolation
  botdock logs -f hello-python                  what it writes, also from another terminal
  botdock doctor                                what works here, and what mends the rest
  botdock pack bot/ --put bots/sma.zip          make the archive, and store it
  botdock storage ls bots/                      what is stored
"""

EPILOG = """\b
Exit codes:
  0        the bot succeeded            124      it timed out
  1-255    its own code when it failed  137      it was killed for memory
  128+N    signal N ended it            143      it was stopped
  125      botdock could not do its part
  2        wrong usage

`botdock VERB --help` explains a verb. Documentation: the docs folder of the botdock repository."""


class _InOurOrder(TyperGroup):
    """Lists verbs in the order of `VERBS`; typer would show those that have verbs of their own first."""

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names of the verbs."""
        del ctx
        return [verb.NAME for verb in VERBS]


def _add(parent: typer.Typer, verbs: Sequence[ModuleType]) -> None:
    for verb in verbs:
        text = f"{verb.SUMMARY}\n\n{verb.HELP}"
        if inner := getattr(verb, "VERBS", ()):
            group = typer.Typer(rich_markup_mode=None)
            group.callback(invoke_without_command=True)(verb.command)
            _add(group, inner)
            parent.add_typer(group, name=verb.NAME, help=text, short_help=verb.SUMMARY)
        else:
            parent.command(verb.NAME, help=text, short_help=verb.SUMMARY)(verb.command)


app = typer.Typer(
    name="botdock",
    cls=_InOurOrder,
    help=HELP,
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 116},
)
_add(app, VERBS)


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


def invoke(args: list[str], session: Session) -> object:
    """Run one command line, and return what its command returned.

    Args:
        args: The words behind `botdock`.
        session: Keeps what the global options say.

    Raises:
        KeyboardInterrupt: It was interrupted.
        Exception: Whatever the command raised, and what typer raises for wrong usage.
    """
    if args[:1] == ["--show-completion"] and args[1:]:
        # typer asks which shell called it; with a name behind it, there is nothing to guess
        os.environ["_BOTDOCK_COMPLETE"] = f"source_{args[1]}"
    try:
        return typer.main.get_command(app).main(args, prog_name="botdock", standalone_mode=False, obj=session)
    except typer.Abort:  # what typer makes of an interrupt
        raise KeyboardInterrupt from None
