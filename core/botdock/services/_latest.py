"""One key for the latest of many objects, on a storage that can only put, list and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.errors import ObjectNotFoundError, StorageUnavailableError
from botdock.model.execution import EXECUTION_ID

if TYPE_CHECKING:
    from botdock.model import ByteReader, StorageBackend
    from botdock.services.outbox import Message

_SUFFIX = ".json"
_ATTEMPTS = 20
"""How often a later one may come in between; each takes another process that does the same at this moment."""


def put_object(backend: StorageBackend, message: Message, source: ByteReader, *, size: int | None = None) -> int:
    """Put an object under its key, and return its bytes."""
    return backend.put(message.key, source, size=size).size


def put_latest(backend: StorageBackend, message: Message, source: ByteReader, *, size: int | None = None) -> int:
    """Put an object under its key unless that holds one of a later execution, and return its bytes.

    Many machines may do this at once, for one key, in any order, and the latest is what is there in the end. Each
    first puts its object beside the key, under its execution's id. Then it copies the latest one there to the
    key, and looks again until it is still the latest. So the one that writes the key last sees nothing later after it;
    and one that comes later than that sees its own. A process that dies half way does it again. The latest always
    stays; older ones are removed.
    """
    folder = f"{message.key.removesuffix(_SUFFIX)}/"
    own = f"{folder}{message.execution_id}{_SUFFIX}"
    stored = backend.put(own, source, size=size).size
    latest = _copy_latest(backend, message.key, folder, own)
    for _failure in backend.delete([key for key in _executions(backend, folder, own) if key < latest]):
        continue  # the next one removes it
    return stored


def _copy_latest(backend: StorageBackend, key: str, folder: str, own: str) -> str:
    copied = ""
    for _ in range(_ATTEMPTS):
        latest = max(_executions(backend, folder, own), default="")
        if latest == copied:
            return latest
        copied = _copy(backend, latest, key)
    raise StorageUnavailableError(f"{folder!r} keeps changing", key=key, backend=backend.location)


def _copy(backend: StorageBackend, latest: str, key: str) -> str:
    """Copy an object, and return its key; empty when a still later one has removed it."""
    try:
        with backend.get(latest) as reader:
            backend.put(key, reader)
    except ObjectNotFoundError:
        return ""
    return latest


def _executions(backend: StorageBackend, folder: str, own: str) -> list[str]:
    """Return the keys below `folder` that are named after executions; what else lies there is left alone."""
    names = ((info.key, info.key.removeprefix(folder).removesuffix(_SUFFIX)) for info in backend.list(folder))
    return [key for key, name in names if key == own or (key.endswith(_SUFFIX) and EXECUTION_ID.fullmatch(name))]
