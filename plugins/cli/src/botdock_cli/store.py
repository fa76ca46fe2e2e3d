"""One area of a storage, opened for a command."""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import closing, contextmanager
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import BotdockError, ObjectNotFoundError, nearest
from botdock.factory import ServiceFactory
from botdock.model import Phase, StorageArea
from botdock.plugin_manager import PluginManager
from botdock_cli.progress import bars_on_terminal, watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from botdock.config import Config
    from botdock.model import ObjectInfo, StorageBackend
    from botdock.services import StorageService
    from botdock_cli.session import Session

_LOOKED_AT = 1000
"""Keys that a search for the one that was meant looks at, in each place; what S3 lists by one request."""


@attrs.frozen(kw_only=True)
class Store:
    """Where a command finds its objects.

    Attributes:
        service: The storage.
        backend: The area of it; what is done there is counted.
        area: Which one that is.
        name: Of the storage.
        options: Those of a command line that looks at the same place.
    """

    service: StorageService
    backend: StorageBackend
    area: StorageArea
    name: str
    options: str

    def __str__(self) -> str:
        """Return where it is, for messages."""
        return f"{self.area} of {self.name} ({self.backend.location})"


@contextmanager
def open_store(session: Session, *, area: str, storage: str | None) -> Iterator[Store]:
    """Open an area of the storage of that name, by default the configured one, and count what is done there.

    Raises:
        ConfigError: The configuration is wrong.
        NotFoundError: No storage of that name is installed.
        StorageError: It cannot be opened.
    """
    config = session.load_config()
    session.show_log()
    factory = ServiceFactory(_without_exporters(config), PluginManager.load(config.plugins))
    with closing(factory.metrics), closing(factory.create_storage_service(storage)) as service:
        kind = StorageArea(area)
        yield Store(
            service=service,
            backend=service.metered(kind),
            area=kind,
            name=storage or config.storage,
            options=_options(kind, storage),
        )


def _without_exporters(config: Config) -> Config:
    """Let what is counted be kept in the state folder alone: an endpoint of a moment is of no use."""
    return attrs.evolve(config, metrics=attrs.evolve(config.metrics, exporters=()))


def _options(area: StorageArea, storage: str | None) -> str:
    named = {"area": area if area is not StorageArea.CODE else None, "storage": storage}
    return "".join(f" --{option} {value}" for option, value in named.items() if value)


@contextmanager
def naming_near_keys(store: Store, key: str) -> Iterator[None]:
    """Let an error about an absent object say which ones may have been meant."""
    try:
        yield
    except ObjectNotFoundError as error:
        error.hint = _hint(store, key)
        raise


def _hint(store: Store, key: str) -> str:
    try:
        if next(iter(store.backend.list(f"{key}/")), None):
            return f"Others are below it: `botdock storage ls {shlex.quote(key)}/{store.options}` lists them."
        near = next(filter(None, (_near(store, key, prefix) for prefix in _prefixes(key))), None)
    except BotdockError:  # the storage may refuse to list, and what it said first is what matters
        near = None
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"`botdock storage ls{store.options}` lists what is there."


def _prefixes(key: str) -> Iterator[str]:
    """Yield where to look: beside the key, the more alike the earlier, then in each folder above."""
    folder, slash, name = key.rpartition("/")
    yield f"{folder}{slash}{name[: len(name) // 2]}"
    while folder:
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
    yield ""


def _near(store: Store, key: str, prefix: str) -> list[str]:
    return nearest(key, [info.key for info in islice(store.backend.list(prefix), _LOOKED_AT)])


def store_file(store: Store, key: str, source: BinaryIO) -> ObjectInfo:
    """Store what is left of an open file, showing on a terminal how far it is.

    Raises:
        StorageError: The storage could not do its part.
        BotdockError: The file could not be read to its end.
    """
    size = _size(source)
    with bars_on_terminal() as bars:
        reader = watched(source, bars, phase=Phase.STORE, what=key, total=size or 0)
        try:
            return store.backend.put(key, reader, size=size)
        except OSError as error:  # of the source: a backend lets none out
            raise BotdockError(f"{source.name} cannot be read: {error.strerror or error}") from error


def _size(source: BinaryIO) -> int | None:
    """Return the bytes that are left of a regular file; None for a pipe, which does not know."""
    found = os.fstat(source.fileno())
    return found.st_size - source.tell() if stat.S_ISREG(found.st_mode) else None


def as_document(info: ObjectInfo) -> dict[str, Any]:
    """Return one object as `--json` shows it: size in bytes, time as ISO 8601 in UTC."""
    modified = info.modified.astimezone(UTC).isoformat()
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}
