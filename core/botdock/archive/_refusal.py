"""One way to say no: every refusal is an `ArchiveError`, and nothing else gets out."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botdock.errors import ArchiveError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHOWN = 120
"""Characters of an entry's name that a message repeats."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def refusal(reason: str, *, limit: str, entry: str | None = None, hint: str | None = None) -> ArchiveError:
    """Return the error for an entry, or for the whole archive; `guard` adds which archive it was."""
    message = reason if entry is None else f"entry {shown(entry)} {reason}"
    return ArchiveError(message, entry=entry, limit=limit, hint=hint)


def shown(name: str) -> str:
    """Return `name` for a message: quoted, escaped, and not longer than a line."""
    return repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}... ({len(name)} characters)"


class ReaderFailedError(Exception):
    """Carries an error of the caller's own reader past everything that would take it for one of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def guard(name: str, place: Path) -> Iterator[None]:
    """Name the archive in each refusal, and turn what the disk says into a `StorageError`.

    Args:
        name: The archive or the folder that is read.
        place: Where is written.
    """
    try:
        yield
    except ReaderFailedError as failed:
        raise failed.error from failed.error.__cause__
    except ArchiveError as error:
        message = f"{name}: {error.message}"
        raise ArchiveError(message, entry=error.entry, limit=error.limit, hint=error.hint) from error
    except OSError as error:
        raise _disk_error(error, place) from error


def _disk_error(error: OSError, place: Path) -> StorageError:
    hint = f"Free space on the disk of {place.parent}, or use another folder." if error.errno in _FULL else None
    return StorageError(f"cannot write {place}: {error.strerror or error}", backend=str(place.parent), hint=hint)
