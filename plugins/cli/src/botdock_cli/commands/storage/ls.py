"""`botdock storage ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "ls"
SUMMARY = "List objects: size, time of writing in UTC, and key."
HELP = """Lists all whose keys begin with PREFIX, sorted by key, each as soon as it is known.

\b
Examples:
  botdock storage ls
  botdock storage ls logs/sma/ --area logs
  botdock storage ls --json | jq -r '.[].key'

\b
Exit codes: 0; 2 for wrong usage; 125 when the storage could not do its part."""


def command(
    context: typer.Context,
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help="First characters of keys.", show_default=False)
    ] = "",
    *,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """List objects."""
    from botdock_cli.objects import show_list

    return show_list(context.ensure_object(Session), prefix, area=area.value, storage=storage, as_json=json)
