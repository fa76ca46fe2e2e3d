"""What people type who come from other tools, or put an option where it does not stand, and what to type here."""

from __future__ import annotations

import click

VERBS = {
    "create": "start",
    "delete": "rm",
    "info": "doctor",
    "init": "new",
    "kill": "stop",
    "list": "ps",
    "ls": "ps",
    "prune": "gc",
    "remove": "rm",
    "show": "inspect",
    "status": "ps",
}
"""The verb here for one of another tool."""

OPTIONS = {
    "-d": "`botdock start` lets it run in the background.",
    "--detach": "`botdock start` lets it run in the background.",
    "-e": "It is --env here.",
    "-i": "A bot has no stdin and no terminal; --config @- hands it what comes from yours.",
    "-m": "It is --memory here.",
    "-t": "A bot has no stdin and no terminal; --config @- hands it what comes from yours.",
    "-v": "A bot sees no folder of yours; pack with its code what it reads.",
    "--mount": "A bot sees no folder of yours; pack with its code what it reads.",
    "--volume": "A bot sees no folder of yours; pack with its code what it reads.",
    "--name": "It is --id here.",
    "--rm": "A container is always removed; `botdock rm` removes the log and the result.",
}
"""For one of `docker run`, what there is in its place."""


def hint_for(error: click.UsageError, args: list[str]) -> str | None:
    """Return what mends a command line that click refused; None where its own help says it best.

    Args:
        error: What it said.
        args: The words of the command line, without `botdock`.
    """
    command = error.ctx.command_path.partition(" ")[2] if error.ctx else ""
    if isinstance(error, click.NoSuchCommand) and not command:
        return _other_verb(error.command_name, args)
    if isinstance(error, click.NoSuchOption):
        runs = command in {"run", "start", "explain"}
        return OPTIONS.get(error.option_name) if runs else _behind_the_verb(error, command, args)
    if command in {"run", "start"} and "extra argument" in error.message:
        return "A bot takes no arguments; --config, --env and --secret hand it what it needs."
    return None


def _other_verb(name: str, args: list[str]) -> str | None:
    if name in {"help", "version"}:
        of_verb = args[args.index(name) + 1 :][:1] if name == "help" else []
        return f"`{' '.join(['botdock', *of_verb, f'--{name}'])}` shows it."
    return f"`botdock {VERBS[name]}` is what comes near it." if name in VERBS else None


def _behind_the_verb(error: click.NoSuchOption, command: str, args: list[str]) -> str | None:
    """Say where an option stands that was put before the verb that has it."""
    if command:
        return None
    from botdock_cli.commands import SUMMARIES, load

    behind = args[next((at for at, word in enumerate(args) if word.split("=")[0] == error.option_name), 0) + 1 :]
    for verb in [word for word in behind if word in SUMMARIES]:
        if any(error.option_name in option.opts for option in load(verb).params):
            return f"It stands behind the verb: `botdock {verb} {error.option_name}`."
    return None
