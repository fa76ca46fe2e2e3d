"""`botdock storage put`."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botdock.errors import BotdockError, UserError
from botdock.model import validate_key
from botdock.model.outcome import Phase
from botdock.model.units import format_bytes
from botdock_cli.interrupts import interruptible
from botdock_cli.objects import as_document
from botdock_cli.output import print_json, print_text
from botdock_cli.progress import bars_on_terminal, watched
from botdock_cli.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from botdock.model import ObjectInfo
    from botdock_cli.session import Session
    from botdock_cli.store import Store

STDIN = "-"


class SourceError(UserError):
    """What is to be stored cannot be read."""


@interruptible
def put(session: Session, file: str, key: str, *, area: str, storage: str | None, as_json: bool) -> int:
    """Store a file, or what comes from stdin, and return what to exit with.

    Raises:
        SourceError: The file cannot be read.
        StorageKeyError: Not a key.
        StorageError: The storage could not do its part; nothing of the object is visible.
    """
    validate_key(key)
    with _open_source(file) as source, open_store(session, area=area, storage=storage) as store:
        info = store_file(store, key, source)
    if as_json:
        return print_json(as_document(info))
    return print_text([f"{info.key}: {format_bytes(info.size)}", f"etag {info.etag}"])


def store_file(store: Store, key: str, source: BinaryIO) -> ObjectInfo:
    """Store what is left of an open file, showing on a terminal how far it is.

    Raises:
        StorageError: The storage could not do its part.
        BotdockError: The file could not be read to its end.
    """
    size = _size(source)
    with bars_on_terminal() as bars:
        reader = watched(source, bars, phase=Phase.STORE, what=key, total=size or 0)
        try:
            return store.backend.put(key, reader, size=size)
        except OSError as error:  # of the source: a backend lets none out
            raise BotdockError(f"{source.name} cannot be read: {error.strerror or error}") from error


@contextmanager
def _open_source(file: str) -> Iterator[BinaryIO]:
    if file == STDIN:
        if sys.stdin is None:
            raise SourceError("stdin is closed", hint="Name a file in place of `-`.")
        yield sys.stdin.buffer
        return
    try:
        opened = open(file, "rb")  # noqa: SIM115, PTH123 - closed below; a Path would forget a final slash
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    with opened:
        yield opened


def _unreadable(file: str, error: OSError | ValueError) -> SourceError:
    if isinstance(error, IsADirectoryError):
        return SourceError(
            f"{file} is a folder", hint=f"botdock pack {shlex.quote(file)} --put KEY stores it as an archive."
        )
    return SourceError(f"{file!r} cannot be read: {getattr(error, 'strerror', None) or error}")


def _size(source: BinaryIO) -> int | None:
    """Return the bytes that are left of a regular file; None for a pipe, which does not know."""
    found = os.fstat(source.fileno())
    return found.st_size - source.tell() if stat.S_ISREG(found.st_mode) else None
