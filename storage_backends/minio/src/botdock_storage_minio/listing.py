"""Lists the objects of a place, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdock.model import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from minio.datatypes import Object

    from botdock_storage_minio.settings import Place

    Ask = Callable[[str, str | None], tuple[list[Object], str | None]]
    """Asks for a page of the names with a prefix, after a token."""


def walk(ask: Ask, place: Place, prefix: str) -> Iterator[ObjectInfo]:
    """Yield the objects whose keys begin with `prefix`, in S3's order, which is that of the bytes of their names."""
    if not (place.can_hold(prefix) or place.can_hold(f"{prefix}x")):
        return
    token = None
    while True:
        objects, token = ask(place.prefix + _askable(prefix), token)
        yield from (info for info in _infos(objects, place) if info.key.startswith(prefix))
        if token is None:
            return


def _askable(prefix: str) -> str:
    """Return the part of a prefix that a MinIO takes: it refuses one that ends in a segment `.` or `..`."""
    head, slash, tail = prefix.rpartition("/")
    return prefix if tail.strip() not in {".", ".."} else f"{head}{slash}"


def _infos(objects: list[Object], place: Place) -> Iterator[ObjectInfo]:
    for found in objects:
        key = place.key_of(found.object_name or "")
        if key is not None:
            modified = found.last_modified or datetime.fromtimestamp(0, UTC)
            yield ObjectInfo(key=key, size=found.size or 0, etag=found.etag or "", modified=modified)
