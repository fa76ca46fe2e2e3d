"""Turns what the operating system says into botdock's errors."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botdock.errors import BotdockError, StorageError, StorageKeyError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_AWAY = {errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV, errno.ENXIO}
"""What network file systems and unplugged disks say; it may pass."""

_HINTS = {
    **dict.fromkeys(_FULL, 'Free some space, or move the storage: [options.local-fs] root = "..."'),
    **dict.fromkeys(_REFUSED, 'Let this user write there, or move the storage: [options.local-fs] root = "..."'),
    errno.EXDEV: "All folders of the root must be on one file system, so that an object appears in one step.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n",
}


@contextmanager
def failures(doing: str, *, key: str, backend: str) -> Iterator[None]:
    """Let no OSError out: it becomes a botdock error that names the key, the place and the cure."""
    try:
        yield
    except OSError as error:
        raise _translated(error, doing, key, backend) from error


def _translated(error: OSError, doing: str, key: str, backend: str) -> BotdockError:
    if error.errno == errno.ENAMETOOLONG:
        return StorageKeyError(key, "holds a name that is too long for this file system")
    kind = StorageUnavailableError if error.errno in _AWAY else StorageError
    hint = _HINTS.get(error.errno or 0)
    return kind(f"cannot {doing} {key!r} in {backend}: {error.strerror or error}", key=key, backend=backend, hint=hint)
