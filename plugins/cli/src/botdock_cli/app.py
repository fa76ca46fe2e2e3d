"""The global options of `botdock`, and the way to its verbs.

Only click is imported here; a verb's module is imported when it is asked for, so that each line of a shell is quick.
"""

from __future__ import annotations

import os

import click

from botdock_cli.commands import SUMMARIES, load
from botdock_cli.help import HelpContext
from botdock_cli.options import CONFIG_FILE
from botdock_cli.report import EXIT_BROKEN_PIPE
from botdock_cli.session import Session

HELP = """Run other people's code in single-use, locked-down containers.

\b
Examples:
  botdock run examples/hello-python         run a bot, in Docker if it can
  botdock run bot.zip --timeout 30s --json  from an archive; JSON at the end
  botdock run bot/ --engine process         without Docker, and not isolated
  botdock logs -f hello-python              what it writes, in any terminal
  botdock doctor                            what works here, or mends it
  botdock pack bot/ --put bots/sma.zip      make the archive, and store it
  botdock storage ls bots/                  what is stored

Unless told otherwise, a bot has no network, 512MiB of memory, 1 processor, 128 processes and 1h; `botdock run --help`
shows all limits.
"""

EPILOG = """\b
Exit codes:
  0        the bot succeeded            124      it timed out
  1-255    its own code when it failed  137      it was killed for memory
  128+N    signal N ended it            143      it was stopped
  125      botdock could not do its part
  2        wrong usage

`botdock VERB --help` explains a verb. Documentation: the docs folder of the botdock repository."""


class _Verbs(click.Group):
    """Lists the verbs in the order of `SUMMARIES`, and imports the module of the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs."""
        del ctx
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that the first word names, its command, and the other words."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and command else None, rest


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"botdock {version('botdock')} (command line {version('botdock-cli')})")
        context.exit()


_COMPLETE = "_BOTDOCK_COMPLETE"
"""The variable in which a shell asks for completions; click derives it from the program's name."""
_BASH_OFFERS = "COMPREPLY+=($value)"
_BASH_GOES_ON = """            [[ $value == *= ]] && compopt -o nospace"""
"""What click's script for bash does with a word, and what it lacks: a setting's value follows its `=` at once."""


def _show_completion(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None and not context.resilient_parsing:
        from click.shell_completion import get_completion_class

        kind = get_completion_class(value)
        assert kind is not None  # noqa: S101 - click has one for each of the option's choices
        source = kind(app, {}, "botdock", _COMPLETE).source()
        click.echo(source.replace(_BASH_OFFERS, f"{_BASH_OFFERS}\n{_BASH_GOES_ON}"))
        context.exit()


@click.group(
    "botdock",
    cls=_Verbs,
    commands={name: click.Command(name, short_help=summary) for name, summary in SUMMARIES.items()},
    help=HELP,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 116},
)
@click.option("--debug", is_flag=True, envvar="BOTDOCK_DEBUG", help="Show tracebacks and the log.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.option(
    "--show-completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="Show what a shell reads to complete botdock's words.",
)
@click.pass_obj
def app(session: Session, *, debug: bool) -> None:
    """Take the global options."""
    session.debug = debug


app.context_class = HelpContext
app.params.insert(0, CONFIG_FILE)


def invoke(args: list[str], session: Session) -> object:
    """Run one command line, and return what its command returned.

    Args:
        args: The words behind `botdock`.
        session: Keeps what the global options say.

    Raises:
        KeyboardInterrupt: It was interrupted.
        Exception: Whatever the command raised, and what click raises for wrong usage.
    """
    try:
        return app.main(args, prog_name="botdock", standalone_mode=False, obj=session)
    except click.Abort:  # what click makes of an interrupt
        raise KeyboardInterrupt from None
    except SystemExit:  # of a completion; else what click makes of a reader of help that went away
        if _COMPLETE in os.environ:
            raise
        return EXIT_BROKEN_PIPE
