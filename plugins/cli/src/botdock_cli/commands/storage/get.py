"""`botdock storage get`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "get"
SUMMARY = "Copy an object into a file, or to stdout."
HELP = """The file appears when it is complete, or not at all.

\b
Examples:
  botdock storage get bots/sma.zip                                writes ./sma.zip
  botdock storage get bots/sma.zip -o old.zip --force
  botdock storage get sma/analysis.json --area results -o - | jq

\b
Exit codes:
  0    it is there
  2    no such object, or a file that is there already
  125  the storage, or the disk, could not do its part
  130  interrupted; no file is left"""


def command(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object.")],
    *,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|-", help="The file; - is stdout. Else ./<last part of KEY>."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that is there.")] = False,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Copy an object into a file, or to stdout."""
    from botdock_cli.fetching import fetch

    session = context.ensure_object(Session)
    return fetch(session, key, area=area.value, storage=storage, output=output, force=force, as_json=json)
