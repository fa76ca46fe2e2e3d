"""One area of a storage, opened for a command."""

from __future__ import annotations

import shlex
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError, ObjectNotFoundError, nearest
from botdock.factory import ServiceFactory
from botdock.model import StorageArea
from botdock.plugin_manager import PluginManager
from botdock_cli import diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock.config import Config
    from botdock.model import StorageBackend
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
    diagnostics.show_log(everything=session.debug)
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
    """Let what is counted be kept in the state folder alone: an endpoint is of no use to anybody for a moment."""
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
