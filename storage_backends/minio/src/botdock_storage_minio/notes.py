"""Notes on disk of the multipart uploads that are under way, so that those of a dead process can be aborted.

They are needed because a MinIO lists unfinished uploads by the exact name of their object only, and after its restart
not otherwise. A note is locked as long as its writer lives; the kernel frees it with the writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_minio.settings import Place

_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.define(kw_only=True)
class Note:
    """One upload that is under way, or was.

    Attributes:
        name: Of the object.
        upload: Its id; empty where its writer died before it knew.
        age: Seconds since the note was written.
        done: Whether the note can go.
    """

    name: str
    upload: str = ""
    age: float = 0.0
    done: bool = False
    _file: int = attrs.field(default=-1, alias="file")

    def record(self, upload: str) -> None:
        """Add the upload's id, and bring the note to the disk."""
        self.upload = upload
        if self._file >= 0:
            os.write(self._file, f"{json.dumps(upload)}\n".encode())
            os.fsync(self._file)


@attrs.define
class Notes:
    """The notes about one place in a folder that all places share.

    Attributes:
        folder: Where they lie; None to keep none.
        place: The bucket, or the part of one, that they are about.
        unread: Whether there may be notes that nobody has looked at.
    """

    folder: Path | None
    place: Place
    unread: bool = attrs.field(default=True, init=False)

    @contextmanager
    def note(self, name: str) -> Iterator[Note]:
        """Give a new note, and remove it in the end if it is `done` by then.

        Raises:
            StorageError: It cannot be written.
        """
        if self.folder is None:
            yield Note(name=name)
            return
        path, file = self._create(self.folder, name)
        note = Note(name=name, file=file)
        try:
            yield note
        finally:
            self._finish(path, note)
            os.close(file)

    def _create(self, folder: Path, name: str) -> tuple[Path, int]:
        path = folder / f"{secrets.token_hex(8)}.json"
        try:
            for parent in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                parent.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave their mode to the umask
            file = os.open(path, _NEW, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, f"{json.dumps([*self._mark, name])}\n".encode())
        except OSError as error:
            hint = "Set home (BOTDOCK_HOME) to a folder that this user can write to."
            raise StorageError(f"cannot write {path}: {error.strerror}", backend=str(self.place), hint=hint) from error
        return path, file

    def abandoned(self) -> Iterator[Note]:
        """Yield the notes of this place whose writers are dead; those that are then `done` are removed."""
        self.unread = False
        paths = sorted(self.folder.glob("*.json")) if self.folder else []
        for path in paths:
            with suppress(OSError, ValueError):  # somebody else is at it; or it is no note of ours
                yield from self._abandoned(path)

    def _abandoned(self, path: Path) -> Iterator[Note]:
        file = os.open(path, _EXISTING)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (note := self._read(file)) is not None:
                try:
                    yield note
                finally:
                    self._finish(path, note)
        finally:
            os.close(file)

    def _read(self, file: int) -> Note | None:
        first, _, second = os.read(file, 16 * 1024).decode().partition("\n")
        *mark, name = json.loads(first)
        if mark != self._mark or not isinstance(name, str) or not name.startswith(self.place.prefix):
            return None
        upload = json.loads(second) if second.endswith("\n") else ""  # its writer died in the middle of the line
        return Note(name=name, upload=str(upload), age=time.time() - os.fstat(file).st_mtime)

    def _finish(self, path: Path, note: Note) -> None:
        if note.done:
            path.unlink(missing_ok=True)
        else:
            self.unread = True

    @property
    def _mark(self) -> list[str]:
        return [self.place.url, self.place.bucket]
