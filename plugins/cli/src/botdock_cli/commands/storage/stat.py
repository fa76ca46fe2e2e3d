"""`botdock storage stat`."""

from __future__ import annotations

from typing import Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.output import aligned, print_json, print_text
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
    from botdock.model import validate_key
    from botdock_cli.store import as_document, naming_near_keys, open_store

    validate_key(key)
    session = context.ensure_object(Session)
    with open_store(session, area=area.value, storage=storage) as store, naming_near_keys(store, key):
        document = as_document(store.backend.stat(key))
    if json:
        return print_json(document)
    return print_text(aligned([(name, str(value)) for name, value in document.items()]))
