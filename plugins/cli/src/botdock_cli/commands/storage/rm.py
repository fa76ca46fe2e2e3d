"""`botdock storage rm`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "rm"
SUMMARY = "Delete objects."
HELP = """When one of the keys is not there, none is deleted. A prefix that is a folder ends with /.

\b
Examples:
  botdock storage rm bots/sma.zip bots/old.zip
  botdock storage rm --prefix logs/sma/ --area logs           says how many it would delete
  botdock storage rm --prefix logs/sma/ --area logs --yes     deletes them

\b
Exit codes: 0; 2 for wrong usage, or an object that is not there; 125 when some could not be deleted."""


def command(
    context: typer.Context,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="The objects.")] = None,
    *,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="P", help="Delete all whose keys begin with P; needs --yes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do what --prefix says.")] = False,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Delete objects."""
    from botdock_cli.removal import remove

    session = context.ensure_object(Session)
    return remove(session, keys or (), prefix=prefix, yes=yes, area=area.value, storage=storage, as_json=json)
