"""`botdock storage stat`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "stat"
SUMMARY = "Show what is known of an object: size in bytes, time of writing, etag."
HELP = """\b
Examples:
  botdock storage stat bots/sma.zip
  botdock storage stat sma/analysis.json --area results --json

\b
Exit codes: 0; 2 for an object that is not there; 125 when the storage could not do its part."""


def command(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object.")],
    *,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Show what is known of an object."""
    from botdock_cli.objects import show_one

    return show_one(context.ensure_object(Session), key, area=area.value, storage=storage, as_json=json)
