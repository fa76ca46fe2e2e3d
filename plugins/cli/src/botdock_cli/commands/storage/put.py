"""`botdock storage put`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName, interruptible
from botdock_cli.output import print_json, print_text
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


@interruptible
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
    from botdock.model import validate_key
    from botdock.model.units import format_bytes
    from botdock_cli.files import open_source
    from botdock_cli.store import as_document, open_store, store_file

    validate_key(key)
    session = context.ensure_object(Session)
    with open_source(file) as source, open_store(session, area=area.value, storage=storage) as store:
        info = store_file(store, key, source)
    if json:
        return print_json(as_document(info))
    return print_text([f"{info.key}: {format_bytes(info.size)}", f"etag {info.etag}"])
