"""`botdock storage ls`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.output import stream_json, stream_text
from botdock_cli.report import printable, say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botdock.model import ObjectInfo
    from botdock_cli.store import Store

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
    from botdock_cli.store import as_document, open_store

    with open_store(context.ensure_object(Session), area=area.value, storage=storage) as store:
        objects = store.backend.list(prefix)
        return stream_json(map(as_document, objects)) if json else _list_as_text(store, prefix, objects)


def _list_as_text(store: Store, prefix: str, objects: Iterator[ObjectInfo]) -> int:
    first = next(objects, None)
    if first is None:
        say(f"nothing in {store}" + (f" begins with {prefix!r}" if prefix else ""))
        return 0
    return stream_text(_table(chain([first], objects)))


def _table(objects: Iterable[ObjectInfo]) -> Iterator[str]:
    """Yield a table; the key comes last, so that no line has to wait for the longest one."""
    from datetime import UTC

    from botdock.model.units import format_bytes

    yield f"{'SIZE':>10}  {'MODIFIED':20}  KEY"
    for info in objects:
        modified = f"{info.modified.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        yield f"{format_bytes(info.size):>10}  {modified}  {printable(info.key)}"
