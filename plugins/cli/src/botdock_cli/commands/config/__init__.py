"""`botdock config`, and its verb."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.commands.config import trust
from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

NAME = "config"
SUMMARY = "Show the configuration that is in force, secrets masked."
HELP = """Arguments win over the environment (BOTDOCK_<SECTION>__<KEY>), which wins over the files, which win over
the defaults. What is printed is TOML: a botdock.toml to start from. The first lines say which files are read, and why
the botdock.toml of this folder is not: other users could write it. One that you have not trusted can only tighten.

\b
Exit codes: 0; 2 when the configuration is wrong, with every problem of it."""

VERBS = (trust,)


def command(
    context: typer.Context,
    *,
    path: Annotated[
        bool, typer.Option("--path", help="Show the file that is used, and where it was looked for.")
    ] = False,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int | None:
    """Show the configuration, where no verb is named."""
    if context.invoked_subcommand is not None:
        return None
    from botdock_cli.output import print_json, print_text
    from botdock_cli.settings import as_document, as_text, paths_as_document, paths_as_text

    session = context.ensure_object(Session)
    if path:
        return print_json(paths_as_document(session)) if json else print_text(paths_as_text(session))
    return print_json(as_document(session)) if json else print_text(as_text(session))
