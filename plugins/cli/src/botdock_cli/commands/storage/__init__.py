"""`botdock storage`, and its verbs, one a module."""

from __future__ import annotations

import typer

from botdock_cli.commands.storage import get, ls, put, rm, stat

NAME = "storage"
SUMMARY = "List, fetch, store and delete what the storage holds."
HELP = """An object has a key, such as bots/sma.zip, and lies in one of three areas: code, results, or logs.

\b
Examples:
  botdock storage put sma.zip bots/sma.zip      then: botdock run bots/sma.zip
  botdock storage ls bots/
  botdock storage get sma/analysis.json --area results -o -
  botdock storage rm --prefix logs/sma/ --area logs --yes

\b
Exit codes: 0; 2 for wrong usage, or an object that is not there; 125 when the storage could not do its part."""

VERBS = (ls, stat, get, put, rm)
"""In the order in which `botdock storage --help` shows them."""

__all__ = ["HELP", "NAME", "SUMMARY", "VERBS", "command"]


def command(context: typer.Context) -> None:
    """Show what there is, where no verb is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
