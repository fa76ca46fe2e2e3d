"""`botdock plugins`."""

from __future__ import annotations

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

NAME = "plugins"
SUMMARY = "List what is installed, and what could not be loaded and why."
HELP = """A plugin is a Python package that names itself in the entry-point group `botdock`. One that does not load
never hides the others.

\b
Exit codes: 0; 2 when the configuration is wrong."""


def command(
    context: typer.Context,
    *,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """List the plugins."""
    from botdock_cli.listing import as_document, as_text, load_plugins
    from botdock_cli.output import print_json, print_text

    manager = load_plugins(context.ensure_object(Session))
    if json:
        return print_json(as_document(manager))
    return print_text(as_text(manager))
