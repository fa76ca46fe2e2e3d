"""One area of a storage, opened for a command, and the files that are copied to it and from it."""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from contextlib import closing, contextmanager
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import BotdockError, ObjectNotFoundError, UserError, nearest
from botdock.model import Phase, StorageArea
from botdock_cli.interrupts import interruptible_stdin
from botdock_cli.progress import bars_on_terminal, watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from botdock.model import ObjectInfo, StorageBackend
    from botdock.services import StorageService
    from botdock_cli.session import Session

_ANOTHER = "-o FILE writes another one."
_CHUNK = 1024 * 1024
_LOOKED_AT = 1000
"""Keys that a search for the one that was meant looks at, in each place; what S3 lists by one request."""


class SourceError(UserError):
    """What is to be read cannot be."""


class TargetError(UserError):
    """A file may not be written where it was asked for."""


@attrs.frozen(kw_only=True)
class Store:
    """Where a command finds its objects.

    Attributes:
        service: The storage.
        backend: The area of it; what is done there is counted.
        area: Which one that is.
        name: Of the storage.
        options: Those of a command line that looks at the same place.
    """

    service: StorageService
    backend: StorageBackend
    area: StorageArea
    name: str
    options: str

    def __str__(self) -> str:
        """Return where it is, for messages."""
        return f"{self.area} of {self.name} ({self.backend.location})"


@contextmanager
def open_store(session: Session, *, area: str, storage: str | None) -> Iterator[Store]:
    """Open an area of the storage of that name, by default the configured one, and count what is done there.

    Raises:
        ConfigError: The configuration is wrong.
        NotFoundError: No storage of that name is installed.
        StorageError: It cannot be opened.
    """
    from botdock.factory import BaseFactory

    config = session.config
    session.show_log()
    # what is counted is kept in the state folder alone: an endpoint of a moment is of no use
    unexported = attrs.evolve(config, metrics=attrs.evolve(config.metrics, exporters=()))
    factory = BaseFactory(unexported, session.plugins)
    with closing(factory.metrics), closing(factory.create_storage_service(storage)) as service:
        kind = StorageArea(area)
        elsewhere = {"area": kind if kind is not StorageArea.CODE else None, "storage": storage}
        yield Store(
            service=service,
            backend=service.metered(kind),
            area=kind,
            name=storage or config.storage,
            options="".join(f" --{option} {value}" for option, value in elsewhere.items() if value),
        )


@contextmanager
def naming_near_keys(store: Store, key: str) -> Iterator[None]:
    """Let an error about an absent object say which ones may have been meant."""
    try:
        yield
    except ObjectNotFoundError as error:
        error.hint = _hint(store, key)
        raise


def _hint(store: Store, key: str) -> str:
    try:
        if next(iter(store.backend.list(f"{key}/")), None):
            return f"Others are below it: `botdock storage ls {shlex.quote(key)}/{store.options}` lists them."
        known = (store.backend.list(prefix) for prefix in _prefixes(key))
        near = next(filter(None, (nearest(key, [one.key for one in islice(each, _LOOKED_AT)]) for each in known)), None)
    except BotdockError:  # the storage may refuse to list, and its first error is what matters
        near = None
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"`botdock storage ls{store.options}` lists what is there."


def _prefixes(key: str) -> Iterator[str]:
    """Yield where to look: beside the key, the more alike the earlier, then in each folder above."""
    folder, slash, name = key.rpartition("/")
    yield f"{folder}{slash}{name[: len(name) // 2]}"
    while folder:
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
    yield ""


def store_file(store: Store, key: str, source: BinaryIO) -> ObjectInfo:
    """Store what is left of an open file, showing on a terminal how far it is.

    Raises:
        StorageError: The storage could not do its part.
        BotdockError: The file could not be read to its end.
    """
    found = os.fstat(source.fileno())
    size = found.st_size - source.tell() if stat.S_ISREG(found.st_mode) else None  # a pipe does not know its own
    with bars_on_terminal() as bars:
        reader = watched(source, bars, phase=Phase.STORE, what=key, total=size or 0)
        try:
            return store.backend.put(key, reader, size=size)
        except OSError as error:  # of the source: a backend lets none out
            raise BotdockError(f"{source.name} cannot be read: {error.strerror or error}") from error


def fetch_file(store: Store, key: str, sink: BinaryIO, *, shown: bool = True) -> int:
    """Copy an object into an open file, `shown` on a terminal, and return its size.

    Raises:
        StorageError: The storage could not do its part, or has no such object; then the nearest is named.
        OSError: The file cannot be written.
    """
    with bars_on_terminal(shown=shown) as bars, naming_near_keys(store, key):
        total = store.backend.stat(key).size if bars else 0
        copied = 0
        with store.backend.get(key) as reader:
            source = watched(reader, bars, phase=Phase.FETCH, what=key, total=total)
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                copied += len(chunk)
    return copied


def as_document(info: ObjectInfo) -> dict[str, Any]:
    """Return one object as `--json` shows it: size in bytes, time as ISO 8601 in UTC."""
    modified = info.modified.astimezone(UTC).isoformat()
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}


def check_target(target: Path, *, force: bool, name: str) -> None:
    """Make sure that a file may be written.

    Args:
        target: The file.
        force: Whether one that is there may be replaced.
        name: What it could be called in a folder, for a hint.

    Raises:
        TargetError: It is there already and `force` is not given, is not a file, or its folder is not there, or is not
            to be written by this user.
    """
    try:
        is_folder, exists = target.is_dir(), target.exists()
    except OSError as error:
        raise TargetError(f"{target} cannot be written: {error.strerror}", hint=_ANOTHER) from None
    if is_folder:
        raise TargetError(f"{target} is a folder", hint=f"-o {target / name} writes into it.")
    if exists and not target.is_file():
        raise TargetError(f"{target} is not a regular file", hint=_ANOTHER)
    if exists and not force:
        raise TargetError(f"{target} is there already", hint=f"--force replaces it; {_ANOTHER}")
    check_folder(target.parent, hint=f"mkdir -p {target.parent}")


def check_folder(folder: Path, *, hint: str) -> None:
    """Make sure that files may be made in a folder; `hint` says what mends it where there is none.

    Raises:
        TargetError: It is not a folder, or this user may not write into it.
    """
    if not folder.is_dir():
        raise TargetError(f"{folder} is not a folder", hint=hint)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(f"{folder} cannot be written by this user", hint="Name another place: -o")


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Give a hidden file beside the target, which takes its place at the end, or is removed.

    Raises:
        BotdockError: It cannot be written.
    """
    hidden = target.with_name(f".botdock-{secrets.token_hex(8)}.part")
    try:
        with hidden.open("xb") as file:
            yield file
        hidden.replace(target)
    except OSError as error:
        raise BotdockError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def open_source(file: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin for `-`.

    Raises:
        SourceError: It cannot be read.
        UserError: The same of stdin.
    """
    if file == "-":
        with interruptible_stdin() as stdin:
            yield stdin
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
