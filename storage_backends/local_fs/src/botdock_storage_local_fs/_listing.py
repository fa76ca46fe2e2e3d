"""Walks a folder in the order of keys, one folder in memory at a time."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from botdock.errors import StorageKeyError
from botdock.model import ObjectInfo, validate_key
from botdock_storage_local_fs._failures import failures
from botdock_storage_local_fs._folders import BlockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_local_fs._folders import Folders


@attrs.frozen(kw_only=True)
class _Entry:
    """An object, or a folder, whose place in the order is that of the keys below it: `a/` comes after `a.b`."""

    place: str
    info: ObjectInfo | None


def describe(key: str, found: os.stat_result) -> ObjectInfo:
    """Return what a file says of the object that it is.

    Its etag joins all that changes when the content does: identity, size, and both times in nanoseconds.
    """
    return ObjectInfo(
        key=key,
        size=found.st_size,
        etag=f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}",
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
    )


def walk(folders: Folders, area: str, prefix: str) -> Iterator[ObjectInfo]:
    """Yield the objects whose key begins with `prefix`, sorted by the bytes of their keys.

    No folder is held open between two objects. Links, devices and names that cannot be keys are no objects.
    """
    head = prefix.rpartition("/")[0]
    if head and not _is_key(head):
        return
    pending = [iter(_scan(folders, area, head, prefix))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif entry.info is None:
            pending.append(iter(_scan(folders, area, entry.place[:-1], prefix)))
        else:
            yield entry.info


def _is_key(text: str) -> bool:
    try:
        validate_key(text)
    except StorageKeyError:
        return False
    return True


def _scan(folders: Folders, area: str, parent: str, prefix: str) -> list[_Entry]:
    names = [area, *parent.split("/")] if parent else [area]
    with failures("list", key=prefix, backend=folders.backend):
        try:
            with folders.open(names) as folder, os.scandir(folder) as found:
                entries = [entry for item in found for entry in _entries(item, parent)]
        except (FileNotFoundError, BlockedError):
            return []
    wanted = (entry for entry in entries if entry.place.startswith(prefix))
    return sorted(wanted, key=lambda entry: entry.place)  # by code points, which is the order of UTF-8 bytes


def _entries(item: os.DirEntry[str], parent: str) -> Iterator[_Entry]:
    key = f"{parent}/{item.name}" if parent else item.name
    if not _is_key(key):
        return
    try:
        found = item.stat(follow_symlinks=False)
    except FileNotFoundError:  # deleted since
        return
    if stat.S_ISDIR(found.st_mode):
        yield _Entry(place=f"{key}/", info=None)
    elif stat.S_ISREG(found.st_mode):
        yield _Entry(place=key, info=describe(key, found))
