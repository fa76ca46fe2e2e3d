"""What `botdock doctor` asks of this storage."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import attrs
from minio.error import S3Error

from botdock import Check
from botdock.errors import ConfigError, StorageError, StorageUnavailableError
from botdock.model import StorageArea
from botdock_storage_minio.client import Client
from botdock_storage_minio.errors import Operation, translated
from botdock_storage_minio.settings import Location, MinIOSettings, location_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock import Config

TIMEOUT = 10.0
"""Seconds that `botdock doctor` waits for this storage; it asks once."""


def checks(config: Config) -> Iterator[Check]:
    """Yield whether the server answers, takes the key and has the buckets; changes nothing, and does not raise.

    Nothing is asked where no endpoint is configured and another storage is.
    """
    settings = config.options_for("minio", MinIOSettings)
    if not settings.endpoint and config.storage != "minio":
        return
    try:
        locations = {location.bucket: location for location in (location_of(settings, area) for area in StorageArea)}
        once = attrs.evolve(settings, retries=0, total_timeout=min(TIMEOUT, settings.total_timeout))
        exist = {bucket: _exists(once, location) for bucket, location in locations.items()}
    except ConfigError as error:
        yield Check.failed("minio.settings", error.message, "mend the section [minio]")
    except StorageError as error:
        name = "minio.endpoint" if isinstance(error, StorageUnavailableError) else "minio.access"
        yield Check.failed(name, error.message, error.hint or "")
    else:
        url = next(iter(locations.values())).url
        yield Check.ok("minio.access", f"{url} answers and takes the key")
        yield from (_bucket(settings, bucket, exists=exists) for bucket, exists in exist.items())


def _exists(config: MinIOSettings, location: Location) -> bool:
    secrets = (config.secret_key, config.access_key)
    with (
        closing(Client(config, location.bucket)) as client,
        translated(Operation(doing="reach", location=location, secrets=secrets)),
    ):
        try:
            client.probe()
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise
            return False
        return True


def _bucket(config: MinIOSettings, bucket: str, *, exists: bool) -> Check:
    name = f"minio.bucket.{bucket}"
    if exists:
        return Check.ok(name, "there")
    if config.create_buckets:
        return Check.ok(name, "not there yet; the first object makes it")
    return Check.failed(name, "not there, and minio.create_buckets is off", f"mc mb ALIAS/{bucket}")
