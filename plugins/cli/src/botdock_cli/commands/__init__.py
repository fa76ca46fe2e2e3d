"""One verb a module, imported when that verb is asked for: its options, and what it does.

A module's `command` is made by `verb`. Its top imports click and little else, and its body what does the work, so that
help and completion stay quick.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from botdock_cli.help import HELP_OPTION, HelpContext
from botdock_cli.options import CONFIG_FILE

SUMMARIES = {
    "run": "Run a bot or a backtest, and show what it prints.",
    "start": "Let a bot or a backtest run in the background, and print its id.",
    "ps": "List executions: those under way, or with -a those that ended too.",
    "logs": "Show what a bot wrote: while it runs, afterwards, and from any process.",
    "wait": "Wait until executions have ended, and say how.",
    "stop": "Stop executions, whichever process runs them, and wait until they have ended.",
    "rm": "Remove executions that have ended, with their logs and results.",
    "result": "Show what bots returned.",
    "report": "Write a page of what bots returned: metrics, plots and tables, side by side.",
    "inspect": "Show all that is known of executions, as JSON.",
    "supervise": "Watch over what was started, as a service, until asked to hand over.",
    "pool": "Show the containers that wait for a run.",
    "recover": "Take over the executions whose runner has died, and see them to their end.",
    "gc": "Remove what is old: executions, and what caches keep unused.",
    "plugins": "List what is installed, and what could not be loaded and why.",
    "explain": "Say what a run would be, why each of its bounds is so, and what refuses it.",
    "doctor": "Say what works here, what this machine cannot enforce, and what mends it.",
    "config": "Show the configuration that is in force, secrets masked.",
    "new": "Write a new plugin, or a new bot, that works before anything is changed.",
    "pack": "Make an archive of a bot's folder: the same folder gives the same bytes.",
    "storage": "List, fetch, store and delete what the storage holds.",
    "metrics": "Show what was counted: executions, phases, containers, logs, storage.",
}
"""Each verb, in the order in which `botdock --help` shows them."""


def load(name: str) -> click.Command:
    """Import the module of a verb, and return its command."""
    command: click.Command = import_module(f"botdock_cli.commands.{name}").command
    return command


def verb(
    name: str, text: str, *, cls: type[click.Command] = click.Command, summary: str = "", **settings: Any
) -> Callable[[Callable[..., int | None]], Any]:
    """Make a command of a function that gets the `Session` and its options, and returns what to exit with.

    Args:
        name: As it is typed.
        text: Its help below the summary.
        cls: A group for a verb that has verbs of its own.
        summary: In one line; else the one of `SUMMARIES`.
        settings: What click is told besides.
    """
    short = summary or SUMMARIES[name]

    def made(body: Callable[..., int | None]) -> click.Command:
        command = click.command(
            name, cls, help=f"{short}\n\n{text}", short_help=short, add_help_option=False, **settings
        )(click.pass_obj(body))
        command.context_class = HelpContext
        command.params += [CONFIG_FILE, HELP_OPTION]
        return command

    return made
