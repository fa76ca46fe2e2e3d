"""Notes on disk of the multipart uploads that are under way, so that those of a dead process can be aborted.

They are needed because a MinIO lists unfinished uploads by the exact name of their object only, and after its restart
not otherwise. A process locks its notes; the kernel unlocks them when it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from botdock.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botdock_storage_minio.settings import Location

_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.define(kw_only=True)
class Note:
    """One upload that is under way, or was.

    Attributes:
        name: Of the object.
        upload: Its id; empty where its process died before the server told it.
        done: Whether the upload was completed or aborted, so that the note can be removed.
    """

    name: str
    upload: str = ""
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
    """The notes about one location, in a folder that all locations share.

    Attributes:
        folder: Where they lie; None to keep none.
        location: The bucket, or the part of one, that they are about.
        unread: Whether the folder may hold notes of dead processes.
    """

    folder: Path | None
    location: Location
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
        path = self.folder / f"{secrets.token_hex(8)}.json"
        file = self._create(self.folder, path, name)
        note = Note(name=name, file=file)
        try:
            yield note
        finally:
            self._finish(path, note)
            os.close(file)

    def abandoned(self) -> Iterator[Note]:
        """Yield the notes about this location of dead processes; those that are then `done` are removed."""
        self.unread = False
        for path in sorted(self.folder.glob("*.json")) if self.folder else []:
            with suppress(OSError, ValueError):  # another process holds it; or it is not a note of ours
                yield from self._abandoned(path)

    def _create(self, folder: Path, path: Path, name: str) -> int:
        try:
            for parent in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                parent.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave their mode to the umask
            file = os.open(path, _NEW, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, f"{json.dumps([*self._mark, name])}\n".encode())
        except OSError as error:
            hint = "Set home (BOTDOCK_HOME) to a folder that this user can write to."
            message = f"cannot write {path}: {error.strerror}"
            raise StorageError(message, backend=str(self.location), hint=hint) from error
        return file

    def _abandoned(self, path: Path) -> Iterator[Note]:
        file = os.open(path, _EXISTING)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            first, _, second = os.read(file, 16 * 1024).decode().partition("\n")
            *mark, name = json.loads(first)
            if mark != self._mark or not isinstance(name, str) or not name.startswith(self.location.prefix):
                return
            # Without a line's end, its process died while it wrote the id.
            note = Note(name=name, upload=str(json.loads(second)) if second.endswith("\n") else "")
            try:
                yield note
            finally:
                self._finish(path, note)
        finally:
            os.close(file)

    def _finish(self, path: Path, note: Note) -> None:
        if note.done:
            path.unlink(missing_ok=True)
        else:
            self.unread = True

    @property
    def _mark(self) -> list[str]:
        return [self.location.url, self.location.bucket]
