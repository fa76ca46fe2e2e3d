"""What `botdock-storage-minio` registers."""

from __future__ import annotations

from collections.abc import Iterable

from botdock import Check, Config, StorageBackend, StorageBackendPlugin, hookimpl
from botdock.model import StorageArea
from botdock_storage_minio.settings import MinIOSettings


def _open(config: Config, area: StorageArea) -> StorageBackend:
    from botdock_storage_minio.backend import MinIOBackend

    return MinIOBackend.from_config(config, area)


def _checks(config: Config) -> Iterable[Check]:
    from botdock_storage_minio.checks import checks

    return checks(config)


@hookimpl
def botdock_storage_backends() -> Iterable[StorageBackendPlugin]:
    """Register the storage `minio`."""
    yield StorageBackendPlugin(
        name="minio",
        summary="Objects are those of a MinIO or another S3, one bucket per area.",
        factory=_open,
        checks=_checks,
        settings=MinIOSettings,
        section="minio",
    )
