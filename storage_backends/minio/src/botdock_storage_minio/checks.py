"""What `botdock doctor` asks of this storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from minio.error import S3Error

from botdock import Check, CheckStatus
from botdock.errors import BotdockError, ConfigError, StorageError, StorageUnavailableError
from botdock.model import StorageArea
from botdock_storage_minio.client import Client
from botdock_storage_minio.errors import translated
from botdock_storage_minio.refusals import Call
from botdock_storage_minio.settings import MinIOSettings, Place, place_of

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
        places = dict.fromkeys(place_of(settings, area) for area in StorageArea)
        once = attrs.evolve(settings, retries=0, total_timeout=min(TIMEOUT, settings.total_timeout))
        yield from _ask(once, list(places))
    except ConfigError as error:
        yield _failed("settings", error, "mend the section [minio]")


def _ask(config: MinIOSettings, places: list[Place]) -> Iterator[Check]:
    absent: dict[str, bool] = {}
    try:
        for place in places:
            if place.bucket not in absent:
                absent[place.bucket] = not _is_there(config, place)
    except StorageUnavailableError as error:
        yield _failed("endpoint", error)
        return
    except StorageError as error:
        yield _failed("access", error)
        return
    yield _ok("access", f"{places[0].url} answers and takes the key")
    yield from (_bucket(config, bucket, is_absent=is_absent) for bucket, is_absent in absent.items())


def _is_there(config: MinIOSettings, place: Place) -> bool:
    call = Call(doing="reach", place=place, secrets=(config.secret_key, config.access_key))
    client = Client(config, place.bucket)
    try:
        with translated(call):
            try:
                client.probe()
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                return False
            return True
    finally:
        client.close()


def _bucket(config: MinIOSettings, bucket: str, *, is_absent: bool) -> Check:
    if not is_absent:
        return _ok(f"bucket.{bucket}", "there")
    if config.create_buckets:
        return _ok(f"bucket.{bucket}", "not there yet; the first object makes it")
    return Check(
        name=f"minio.bucket.{bucket}",
        status=CheckStatus.FAILED,
        detail="not there, and minio.create_buckets is off",
        remedy=f"mc mb ALIAS/{bucket}",
    )


def _ok(name: str, detail: str) -> Check:
    return Check(name=f"minio.{name}", status=CheckStatus.OK, detail=detail)


def _failed(name: str, error: BotdockError, remedy: str = "") -> Check:
    return Check(
        name=f"minio.{name}", status=CheckStatus.FAILED, detail=error.message, remedy=remedy or error.hint or ""
    )
