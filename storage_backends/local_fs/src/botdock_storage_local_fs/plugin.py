"""What `botdock-storage-local-fs` registers."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Check, Config, StorageBackend, StorageBackendPlugin, hookimpl
from botdock.model import StorageArea
from botdock_storage_local_fs.settings import LocalFsSettings, root_of


def _open(config: Config, area: StorageArea) -> StorageBackend:
    from botdock_storage_local_fs.backend import LocalFsBackend

    return LocalFsBackend(root_of(config), area)


def _checks(config: Config) -> Iterable[Check]:
    from botdock_storage_local_fs.checks import checks

    return checks(config)


@hookimpl
def botdock_storage_backends() -> Iterable[StorageBackendPlugin]:
    """Register the storage `local-fs`."""
    yield StorageBackendPlugin(
        name="local-fs",
        summary="Objects are files of a local folder.",
        factory=_open,
        checks=_checks,
        settings=LocalFsSettings,
    )
