"""The storage itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from minio.error import S3Error

from botdock import StorageBackend
from botdock.errors import BotdockError, ObjectNotFoundError, nearest
from botdock.logging import logger_of
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageArea
from botdock_storage_minio.client import Client, Known, Opened
from botdock_storage_minio.deletion import delete_batch
from botdock_storage_minio.errors import FOREIGN, translated
from botdock_storage_minio.listing import walk
from botdock_storage_minio.nesting import Nesting
from botdock_storage_minio.notes import Note, Notes
from botdock_storage_minio.parts import Parts
from botdock_storage_minio.reader import MinIOReader
from botdock_storage_minio.refusals import Call
from botdock_storage_minio.settings import MinIOSettings, Place, place_of
from botdock_storage_minio.upload import MultipartUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from minio.datatypes import Object, Upload

    from botdock.config import Config

    _Result = TypeVar("_Result")

logger = logger_of(__name__)

STALE_AFTER = 24 * 3600.0
"""Seconds after which an upload of unknown writer counts as abandoned; a MinIO itself drops it then, too."""


class MinIOBackend(StorageBackend):
    """Keeps the objects of one area in a bucket of a MinIO or another S3, or below a prefix of one.

    Nothing is asked of the server before the first call. Objects of up to `part_size` bytes are written by one
    request, larger ones in parts, of which `parallel_parts` + 1 are in memory. Faults that may pass are met by asking
    again, a bounded number of times; a body that was cut is resumed where it ended, if the object is still the same.

    Args:
        config: The settings.
        place: Where the objects lie.
        notes: Folder for notes of the uploads that are under way, so that a successor can abort them; None for none.
    """

    def __init__(self, config: MinIOSettings, place: Place, *, notes: Path | None = None) -> None:
        self._config = config
        self._place = place
        self._client = Client(config, place.bucket)
        self._nesting = Nesting(self._client, place)
        self._notes = Notes(notes, place)

    @classmethod
    def from_config(cls, config: Config, area: StorageArea) -> Self:
        """Open the storage of an area.

        Raises:
            ConfigError: With every setting that is wrong.
        """
        settings = config.options_for("minio", MinIOSettings)
        return cls(settings, place_of(settings, area), notes=config.home_dir / "minio-uploads")

    @property
    def location(self) -> str:
        """The bucket with its server, and the prefix."""
        return str(self._place)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or a part of it; see `StorageBackend.get`.

        Raises:
            ValueError: A negative offset or length.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        name, call = self._place.name_of(key), self._call("read", key)
        with translated(call):
            opened = self._find(key, lambda: self._open(name, offset, length))
        return MinIOReader(self._client, name, offset, opened, call=call, config=self._config)

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; see `StorageBackend.put`."""
        name, call = self._place.name_of(key), self._call("write", key)
        with translated(call):
            self._nesting.check(key)
        part_size = self._config.part_size
        parts = Parts(source, size=size, part_size=part_size, key=key, backend=self.location)
        if parts.ended:
            with translated(call):
                data = parts.take()
                known = self._in_bucket(lambda: self._client.put_whole(name, data))
        else:
            known = self._put_parts(name, parts, call)
        self._abort_unread()
        return _info(key, known)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects in the order of their keys; see `StorageBackend.list`."""
        call = self._call("list", "")

        def ask(begin: str, token: str | None) -> tuple[list[Object], str | None]:
            with translated(call):
                return self._client.page(begin, token)

        return walk(ask, self._place, prefix)

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete up to 1,000 objects with a request; see `StorageBackend.delete`.

        Raises:
            StorageError: The storage could do nothing at all; keys that were given before may be deleted.
        """
        pending, call = iter(keys), self._call("delete from", "")
        while True:
            with translated(call):
                failures = delete_batch(self._client, self._place, pending)
            if failures is None:
                return
            yield from failures

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object; see `StorageBackend.stat`."""
        name = self._place.name_of(key)
        with translated(self._call("look at", key)):
            return _info(key, self._find(key, lambda: self._client.head(name), near=False))

    def abort_stale_uploads(self) -> int:
        """Abort the uploads of processes that died, and return how many there were.

        A write that went well does it as well, once, and again after an upload that could not be aborted.

        Raises:
            StorageError: The storage could not do its part.
        """
        aborted = 0
        for note in self._notes.abandoned():
            with translated(self._call("abort an upload to", "")):
                aborted += self._abort_noted(note)
        return aborted

    def close(self) -> None:
        """Let go of the connections that are idle, and repeat no request any more."""
        self._client.close()

    def _call(self, doing: str, key: str) -> Call:
        return Call(doing=doing, place=self._place, key=key, secrets=(self._config.secret_key, self._config.access_key))

    def _open(self, name: str, offset: int, length: int | None) -> Opened:
        if length == 0:  # which no range can say
            self._client.head(name)
            return Opened(stop=offset)
        return self._client.open_part(name, offset, length)

    def _find(self, key: str, look: Callable[[], _Result], *, near: bool = True) -> _Result:
        try:
            return look()
        except S3Error as error:
            if error.code not in {"NoSuchKey", "NoSuchBucket"}:
                raise
        hint = self._near(key) if near or not self._config.create_buckets else None
        raise ObjectNotFoundError(key, backend=self.location, hint=hint)

    def _near(self, key: str) -> str | None:
        """Return a hint to the keys beside `key`; or raise that there is no bucket, where that is an error."""
        folder = f"{key.rpartition('/')[0]}/".lstrip("/")
        try:
            found, _ = self._client.page(self._place.prefix + folder)
        except FOREIGN as error:
            if isinstance(error, S3Error) and error.code == "NoSuchBucket":
                raise
            return None  # it is no more than a hint
        keys = [self._place.key_of(one.object_name or "") for one in found]
        near = nearest(key, filter(None, keys))
        return f"Did you mean {' or '.join(near)}?" if near else None

    def _in_bucket(self, write: Callable[[], _Result]) -> _Result:
        try:
            return write()
        except S3Error as error:
            if error.code != "NoSuchBucket" or not self._config.create_buckets:
                raise
        self._client.make_own_bucket()
        return write()

    def _put_parts(self, name: str, parts: Parts, call: Call) -> Known:
        with self._notes.note(name) as note:
            with translated(call):
                note.record(self._in_bucket(lambda: self._client.create_upload(name)))
            with MultipartUpload(self._client, note, parallel=self._config.parallel_parts) as upload:
                while data := parts.take():
                    with translated(call):
                        upload.send(data)
                with translated(call):
                    return upload.finish()

    def _abort_unread(self) -> None:
        if not self._notes.unread:
            return
        try:
            self.abort_stale_uploads()
        except BotdockError as error:
            logger.bind(storage=self.location, error=type(error).__name__).warning("abandoned uploads are still there")

    def _abort_noted(self, note: Note) -> int:
        if note.upload:
            self._client.abort_upload(note.name, note.upload)
            note.done = True
            return 1
        # Its writer died before it knew the id, so that its age must tell it from those of others to the same key.
        if note.age < STALE_AFTER:
            return 0
        stale = [one.upload_id or "" for one in self._client.uploads_of(note.name) if _age(one) > STALE_AFTER]
        for upload in stale:
            self._client.abort_upload(note.name, upload)
        note.done = True
        return len(stale)


def _age(upload: Upload) -> float:
    return (datetime.now(UTC) - (upload.initiated_time or datetime.now(UTC))).total_seconds()


def _info(key: str, known: Known) -> ObjectInfo:
    return ObjectInfo(key=key, size=known.size, etag=known.etag, modified=known.modified)
