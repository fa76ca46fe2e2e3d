"""The storage itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from botdock import BotdockError, StorageBackend
from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, validate_key
from botdock_storage_local_fs._drafts import Draft, open_draft, sweep
from botdock_storage_local_fs._failures import failures
from botdock_storage_local_fs._files import Files
from botdock_storage_local_fs._folders import BlockedError, Folders
from botdock_storage_local_fs._listing import describe, walk
from botdock_storage_local_fs._reader import FileReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_CHUNK = 1024 * 1024


class LocalFsBackend(StorageBackend):
    """Keeps each object in a file whose path below `root/area` is its key.

    A file that somebody puts there by hand is an object too. An object is written beside the areas, brought to the
    disk, and appears under its key by one rename. On a file system that ignores case, a name that differs from an
    existing one only in case is refused; of two processes that use both spellings for the first time at the same
    instant, the later one wins.

    Args:
        root: Folder of all areas; made with the first object.
        area: Name of the folder below it that holds this backend's objects.

    Example:
        >>> import io, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backend = LocalFsBackend(pathlib.Path(folder), "code")
        ...     _ = backend.put("bots/hello.zip", io.BytesIO(b"PK"))
        ...     [info.key for info in backend.list("bots/")]
        ['bots/hello.zip']
    """

    def __init__(self, root: Path, area: str) -> None:
        self._area = area
        self._place = root / area
        self._name = f"local-fs ({self._place})"
        self._folders = Folders(root, self._name)
        self._files = Files(self._folders, area)
        self._swept = False

    @property
    def location(self) -> str:
        """The folder that holds the objects."""
        return str(self._place)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or a part of it; see `StorageBackend.get`.

        Raises:
            ValueError: A negative offset or length.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        with self._failures("read", validate_key(key)):
            try:
                file, size = self._files.open(key)
            except (FileNotFoundError, BlockedError):
                near = self._files.near(key)
                raise self._absent(key, f"Did you mean {' or '.join(near)}?" if near else None) from None
        return FileReader(file, offset=min(offset, size), length=length, key=key, backend=self._name)

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; see `StorageBackend.put`."""
        validate_key(key)
        with ExitStack() as stack:
            with self._failures("write", key):
                self._sweep_once()
                draft = stack.enter_context(open_draft(self._folders))
            self._fill(draft, key, source, size)
            with self._failures("write", key):
                draft.sync()
                return self._place_draft(draft, key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects in the order of their keys; see `StorageBackend.list`."""
        return walk(self._folders, self._area, prefix)

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete each object when the iterator gets to it; see `StorageBackend.delete`."""
        for key in keys:
            try:
                self._delete(key)
            except BotdockError as error:
                yield DeleteFailure(key=key, reason=error.message)

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object; see `StorageBackend.stat`."""
        with self._failures("look at", validate_key(key)):
            try:
                return describe(key, self._files.look(key))
            except (FileNotFoundError, BlockedError):
                raise self._absent(key) from None

    def close(self) -> None:
        """Do nothing: no file stays open between two calls."""

    def _failures(self, doing: str, key: str) -> AbstractContextManager[None]:
        return failures(doing, key=key, backend=self._name)

    def _absent(self, key: str, hint: str | None = None) -> ObjectNotFoundError:
        return ObjectNotFoundError(key, backend=self._name, hint=hint)

    def _sweep_once(self) -> None:
        if not self._swept:
            sweep(self._folders)
            self._swept = True

    def _fill(self, draft: Draft, key: str, source: ByteReader, size: int | None) -> None:
        written = 0
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if size is not None and written > size:
                break
            with self._failures("write", key):
                draft.write(chunk)
        if size is not None and written != size:
            came = "more" if written > size else str(written)
            raise StorageError(f"{key!r}: {size} bytes were announced, {came} came", key=key, backend=self._name)

    def _place_draft(self, draft: Draft, key: str) -> ObjectInfo:
        try:
            return describe(key, self._files.place(draft, key))
        except BlockedError as error:
            below = next(self.list(f"{key}/"), None)
            problem = f"the object {below.key!r} is in the way: it is below this one" if below else str(error)
            raise StorageKeyError(key, problem) from None

    def _delete(self, key: str) -> None:
        with self._failures("delete", validate_key(key)):
            try:
                self._files.remove(key)
            except (FileNotFoundError, BlockedError):
                return
