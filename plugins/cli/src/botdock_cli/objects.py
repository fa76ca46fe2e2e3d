"""`botdock storage ls` and `stat`: what a storage knows of its objects."""

from __future__ import annotations

from datetime import UTC
from itertools import chain
from typing import TYPE_CHECKING, Any

from botdock.model import validate_key
from botdock.model.units import format_bytes
from botdock_cli.output import aligned, print_json, print_text, stream_json, stream_text
from botdock_cli.report import printable, say
from botdock_cli.store import naming_near_keys, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botdock.model import ObjectInfo
    from botdock_cli.session import Session
    from botdock_cli.store import Store


def show_list(session: Session, prefix: str, *, area: str, storage: str | None, as_json: bool) -> int:
    """Print the objects whose keys begin with `prefix`, each as soon as it is known; return what to exit with.

    Raises:
        StorageError: The storage could not do its part.
    """
    with open_store(session, area=area, storage=storage) as store:
        objects = store.backend.list(prefix)
        return stream_json(map(as_document, objects)) if as_json else _list_as_text(store, prefix, objects)


def _list_as_text(store: Store, prefix: str, objects: Iterator[ObjectInfo]) -> int:
    first = next(objects, None)
    if first is None:
        say(f"nothing in {store}" + (f" begins with {prefix!r}" if prefix else ""))
        return 0
    return stream_text(as_text(chain([first], objects)))


def show_one(session: Session, key: str, *, area: str, storage: str | None, as_json: bool) -> int:
    """Print what is known of an object, and return what to exit with.

    Raises:
        ObjectNotFoundError: There is none; names the nearest keys.
        StorageError: The storage could not do its part.
    """
    validate_key(key)
    with open_store(session, area=area, storage=storage) as store, naming_near_keys(store, key):
        document = as_document(store.backend.stat(key))
    if as_json:
        return print_json(document)
    return print_text(aligned([(name, str(value)) for name, value in document.items()]))


def as_document(info: ObjectInfo) -> dict[str, Any]:
    """Return one object as `--json` shows it: size in bytes, time as ISO 8601 in UTC."""
    modified = info.modified.astimezone(UTC).isoformat()
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}


def as_text(objects: Iterable[ObjectInfo]) -> Iterator[str]:
    """Yield a table; the key comes last, so that no line has to wait for the longest one."""
    yield f"{'SIZE':>10}  {'MODIFIED':20}  KEY"
    for info in objects:
        modified = f"{info.modified.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        yield f"{format_bytes(info.size):>10}  {modified}  {printable(info.key)}"
