"""Deletes objects, a thousand with each request."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from botdock.errors import StorageKeyError
from botdock.model import DeleteFailure
from botdock_storage_minio.bucket_client import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_minio.bucket_client import BucketClient
    from botdock_storage_minio.settings import Place

_NOT_IN_XML = frozenset("\ufffe\uffff")
"""Characters of keys that XML 1.0 cannot hold; keys with them are deleted one by one."""


def delete_batch(client: BucketClient, place: Place, keys: Iterator[str]) -> list[DeleteFailure] | None:
    """Delete the next keys, and return those that could not be; None when there are no more keys."""
    batch = list(islice(keys, PAGE))
    if not batch:
        return None
    failures: list[DeleteFailure] = []
    names = []
    for key in batch:
        try:
            names.append(place.name_of(key))
        except StorageKeyError as error:
            failures.append(DeleteFailure(key=key, reason=error.message))
    return failures + _delete_names(client, place, names)


def _delete_names(client: BucketClient, place: Place, names: list[str]) -> list[DeleteFailure]:
    for name in names:
        if _NOT_IN_XML & set(name):
            client.delete_one(name)
    plain = [name for name in names if not _NOT_IN_XML & set(name)]
    errors = client.delete_many(plain) if plain else []
    return [
        DeleteFailure(
            key=(error.name or "").removeprefix(place.prefix),
            reason=": ".join(filter(None, (error.code, error.message))),
        )
        for error in errors
    ]
