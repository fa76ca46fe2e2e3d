"""`botdock doctor`."""

from __future__ import annotations

import typer

from botdock_cli.options import ConfigFile, Json
from botdock_cli.session import Session

NAME = "doctor"
SUMMARY = "Say what works here, what this machine cannot enforce, and what mends it."
HELP = """Looks at the configuration, the state folder, the plugins, the engines, the storages, and at what each
runtime needs. Changes nothing.

\b
Exit codes: 0 when an engine that isolates works and no check failed; 1 otherwise."""


def command(
    context: typer.Context,
    *,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Run all checks."""
    import sys

    from botdock_cli.checkup import as_document, as_text, examine, is_healthy
    from botdock_cli.output import print_json, print_text, wants_colour

    checks = tuple(examine(context.ensure_object(Session)))
    if json:
        print_json(as_document(checks))
    else:
        colour = wants_colour(sys.stdout)
        print_text(as_text(checks, colour=colour), colour=colour)
    return 0 if is_healthy(checks) else 1
