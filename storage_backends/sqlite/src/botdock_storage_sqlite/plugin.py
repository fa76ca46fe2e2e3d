"""The plugin: registers the storage."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Config, StorageBackend, StorageBackendPlugin, hookimpl
from botdock.model import StorageArea

NAME = "sqlite"

BOTDOCK_INTERFACE = 1
"""The version of the plugin interface that this is written for."""


def _open(config: Config, area: StorageArea) -> StorageBackend:
    from botdock_storage_sqlite.backend import SqliteBackend

    config.home_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteBackend(config.home_dir / f"{NAME}.db", area)


@hookimpl
def botdock_storage_backends() -> Iterable[StorageBackendPlugin]:
    """Register the storage `sqlite`."""
    yield StorageBackendPlugin(name=NAME, summary="Objects are rows of one SQLite file.", factory=_open)
