"""The storage itself."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from botdock import BotdockError, StorageBackend
from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, validate_key
from botdock_storage_local_fs._files import Draft, Files
from botdock_storage_local_fs._folders import BlockedError, Folders, failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    _Entry = tuple[str, ObjectInfo | None]

_CHUNK = 1024 * 1024


class LocalFsBackend(StorageBackend):
    """Keeps each object in a file whose path below `root/area` is its key.

    A file that was put there by hand is an object too. An object is written beside the areas, brought to the disk, and
    appears under its key by one rename. On a file system that ignores case, a name that differs from an existing one
    only in case is refused; of two processes that use both spellings for the first time at the same instant, the later
    one wins.

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
        self._path = root / area
        self._name = f"local-fs ({self._path})"
        self._folders = Folders(root, self._name)
        self._files = Files(self._folders, area)
        self._swept = False

    @property
    def location(self) -> str:
        """The folder that holds the objects."""
        return str(self._path)

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
                hint = f"Did you mean {' or '.join(near)}?" if near else None
                raise ObjectNotFoundError(key, backend=self._name, hint=hint) from None
        return _FileReader(file, offset=min(offset, size), length=length, key=key, backend=self._name)

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; see `StorageBackend.put`."""
        validate_key(key)
        with ExitStack() as stack:
            with self._failures("write", key):
                if not self._swept:
                    self._files.sweep()
                    self._swept = True
                draft = stack.enter_context(self._files.draft())
            self._fill(draft, key, source, size)
            with self._failures("write", key):
                draft.sync()
                return self._place(draft, key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects in the order of their keys; see `StorageBackend.list`.

        No folder is held open between two objects. Links, devices and names that cannot be keys are not objects.
        """
        head = prefix.rpartition("/")[0]
        if head and not _is_key(head):
            return
        pending = [self._scan(head, prefix)]
        while pending:
            place, info = next(pending[-1], ("", None))
            if info is not None:
                yield info
            elif place:
                pending.append(self._scan(place[:-1], prefix))
            else:
                pending.pop()

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete each object when the iterator gets to it; see `StorageBackend.delete`."""
        for key in keys:
            try:
                with self._failures("delete", validate_key(key)), suppress(FileNotFoundError, BlockedError):
                    self._files.remove(key)
            except BotdockError as error:
                yield DeleteFailure(key=key, reason=error.message)

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object; see `StorageBackend.stat`."""
        with self._failures("look at", validate_key(key)):
            try:
                return _info(key, self._files.look(key))
            except (FileNotFoundError, BlockedError):
                raise ObjectNotFoundError(key, backend=self._name) from None

    def close(self) -> None:
        """Do nothing: no file stays open between two calls."""

    def _failures(self, doing: str, key: str) -> AbstractContextManager[None]:
        return failures(doing, key=key, backend=self._name)

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

    def _place(self, draft: Draft, key: str) -> ObjectInfo:
        try:
            return _info(key, self._files.place(draft, key))
        except BlockedError as error:
            below = next(self.list(f"{key}/"), None)
            problem = f"the object {below.key!r} is in the way: it is below this one" if below else str(error)
            raise StorageKeyError(key, problem) from None

    def _scan(self, parent: str, prefix: str) -> Iterator[_Entry]:
        """Yield the objects and folders of a folder, the name of a folder with a `/`, in the order of keys."""
        names = [self._area, *parent.split("/")] if parent else [self._area]
        with self._failures("list", prefix):
            try:
                with self._folders.open(names) as folder, os.scandir(folder) as found:
                    entries = [one for entry in found for one in _entries(entry, parent) if one[0].startswith(prefix)]
            except (FileNotFoundError, BlockedError):
                return
        yield from sorted(entries, key=lambda one: one[0])  # by code points, which is the order of UTF-8 bytes


class _FileReader:
    """Reads a part of an open file, and closes it.

    A file that is replaced meanwhile is read to its end all the same: the descriptor keeps the old one.
    """

    def __init__(self, file: int, *, offset: int, length: int | None, key: str, backend: str) -> None:
        self._file = os.fdopen(file, "rb", buffering=0)
        self._key = key
        self._backend = backend
        self._left = length
        with failures("read", key=key, backend=backend):
            self._file.seek(offset)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; all that is left for a negative one; empty bytes at the end."""
        wanted = size if self._left is None else self._left if size < 0 else min(size, self._left)
        pieces = []
        with failures("read", key=self._key, backend=self._backend):
            while wanted and (piece := self._file.read(wanted)):
                pieces.append(piece)
                wanted -= len(piece)
        data = b"".join(pieces)
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _entries(entry: os.DirEntry[str], parent: str) -> Iterator[_Entry]:
    key = f"{parent}/{entry.name}" if parent else entry.name
    if not _is_key(key):
        return
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # deleted since
        return
    if stat.S_ISDIR(found.st_mode):
        yield f"{key}/", None
    elif stat.S_ISREG(found.st_mode):
        yield key, _info(key, found)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """Describe a file; its etag joins all that changes with the content: inode, size, and both times."""
    return ObjectInfo(
        key=key,
        size=found.st_size,
        etag=f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}",
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
    )


def _is_key(text: str) -> bool:
    try:
        validate_key(text)
    except StorageKeyError:
        return False
    return True
