"""The global options of `botdock`, and the way to its verbs.

Only click is imported here; a verb's module is imported when it is asked for, so that each line of a shell is quick.
"""

from __future__ import annotations

import click

from botdock_cli.commands import SUMMARIES, load
from botdock_cli.help import HELP_OPTION, HelpContext, shown_once
from botdock_cli.options import CONFIG_FILE
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


def _version(_context: click.Context, _: bool) -> str:  # noqa: FBT001 - click calls it so
    from importlib.metadata import version

    return f"botdock {version('botdock')} (command line {version('botdock-cli')})"


_OFFERS = "COMPREPLY+=($value)"
_GOES_ON = """            [[ $value == *= ]] && compopt -o nospace"""
"""What click's script for bash does with a word, and what it lacks: a setting's value follows its `=` at once."""


def _completion(_context: click.Context, shell: str) -> str:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has one for each of the option's choices
    return kind(app, {}, "botdock", "_BOTDOCK_COMPLETE").source().replace(_OFFERS, f"{_OFFERS}\n{_GOES_ON}")


@click.group(
    "botdock",
    cls=_Verbs,
    commands={name: click.Command(name, short_help=summary) for name, summary in SUMMARIES.items()},
    help=HELP,
    epilog=EPILOG,
    context_settings={"max_content_width": 116},
    add_help_option=False,
)
@click.option("--debug", is_flag=True, envvar="BOTDOCK_DEBUG", help="Show tracebacks and the log.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=shown_once(_version),
    help="Show the version.",
)
@click.option(
    "--show-completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=shown_once(_completion),
    help="Show what a shell reads to complete botdock's words.",
)
@click.pass_obj
def app(session: Session, *, debug: bool) -> None:
    """Take the global options."""
    session.debug = debug


app.context_class = HelpContext
app.params = [CONFIG_FILE, *app.params, HELP_OPTION]


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
