"""`botdock storage put`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.session import Session

NAME = "put"
SUMMARY = "Store a file, or what comes from stdin, as an object."
HELP = """An object that is there is replaced; readers see the old one or the new one, never a mixture.

\b
Examples:
  botdock storage put sma.zip bots/sma.zip
  pg_dump | botdock storage put - dumps/today.sql --area results

\b
Exit codes:
  0    it is stored
  2    a file that cannot be read, or no key
  125  the storage could not do its part
  130  interrupted; nothing of it is stored"""


def command(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The file; - is stdin.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="What to store it as.")],
    *,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Store an object."""
    from botdock_cli.storing import put

    return put(context.ensure_object(Session), file, key, area=area.value, storage=storage, as_json=json)
