"""`botdock config trust`."""

from __future__ import annotations

from typing import Annotated

import typer

NAME = "trust"
SUMMARY = "Let a botdock.toml of a folder set everything, as it reads now."
HELP = """A botdock.toml of the working folder came with that folder, so it can only tighten what holds without it,
until you have trusted it. What you trust is this file in this wording: after a change, trust it again.

\b
Exit codes: 0; 2 when it cannot be read, or when other users could write it."""


def command(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Else ./botdock.toml.")] = None,
    *,
    revoke: Annotated[bool, typer.Option("--revoke", help="Trust it no longer, in whatever wording.")] = False,
) -> int:
    """Trust a file."""
    from pathlib import Path

    from botdock.config import CONFIG_FILE_NAME, trust_file
    from botdock_cli.output import print_text

    path = Path(file or CONFIG_FILE_NAME).absolute()
    trust_file(path, revoke=revoke)
    return print_text([f"{path}: {'no longer trusted' if revoke else 'trusted as it reads now'}"])
