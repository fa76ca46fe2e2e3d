"""The storage itself."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Self

import attrs
from minio.error import S3Error

from botdock import StorageBackend
from botdock.errors import BotdockError, ObjectNotFoundError, StorageKeyError, nearest
from botdock.logging import logger_of
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageArea
from botdock_storage_minio.client import PAGE, Client, Opened
from botdock_storage_minio.errors import FOREIGN, Operation, translated
from botdock_storage_minio.nesting import Nesting
from botdock_storage_minio.notes import Notes
from botdock_storage_minio.reader import MinIOReader
from botdock_storage_minio.settings import Location, MinIOSettings, location_of
from botdock_storage_minio.upload import MultipartUpload, Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from botdock.config import Config

    _Result = TypeVar("_Result")

logger = logger_of(__name__)


class MinIOBackend(StorageBackend):
    """Keeps the objects of one area in a bucket of a MinIO or another S3, or below a prefix of one.

    The first call sends the first request. Objects of up to `part_size` bytes are written by one request, larger ones
    in parts, of which `parallel_parts` + 1 are in memory. A request that fails for a transient reason is repeated, a
    bounded number of times; a body that was cut is resumed where it ended, if the object is still the same.

    Args:
        config: The settings.
        location: Where the objects lie.
        notes: Folder for notes of the uploads that are under way, so that a successor can abort them; None for none.
    """

    def __init__(self, config: MinIOSettings, location: Location, *, notes: Path | None = None) -> None:
        self._config = config
        self._location = location
        self._client = Client(config, location.bucket)
        self._nesting = Nesting(self._client, location)
        self._notes = Notes(notes, location)

    @classmethod
    def from_config(cls, config: Config, area: StorageArea) -> Self:
        """Open the storage of an area.

        Raises:
            ConfigError: With every setting that is wrong.
        """
        settings = config.options_for("minio", MinIOSettings)
        return cls(settings, location_of(settings, area), notes=config.home_dir / "minio-uploads")

    @property
    def location(self) -> str:
        """The bucket with its server, and the prefix."""
        return str(self._location)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or a part of it; see `StorageBackend.get`.

        Raises:
            ValueError: A negative offset or length.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        name, operation = self._location.name_of(key), self._operation("read", key)

        def open_part() -> Opened:
            if length == 0:  # which no range can say
                self._client.head(name)
                return Opened(stop=offset)
            return self._client.open_part(name, offset, length)

        with translated(operation):
            opened = self._find(key, open_part)
        return MinIOReader(self._client, name, offset, opened, operation=operation, config=self._config)

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        """Write an object; see `StorageBackend.put`."""
        name, operation = self._location.name_of(key), self._operation("write", key)
        with translated(operation):
            self._nesting.check(key)
        parts = Parts(source, size=size, part_size=self._config.part_size, key=key, backend=self.location)
        data = parts.read()
        if parts.ended:
            with translated(operation):
                info = self._in_bucket(lambda: self._client.put_whole(name, data))
        else:
            with self._notes.note(name) as note:
                with translated(operation):
                    note.record(self._in_bucket(lambda: self._client.create_upload(name)))
                with MultipartUpload(self._client, note, parallel=self._config.parallel_parts) as upload:
                    while data:
                        with translated(operation):
                            upload.send(data)
                        data = parts.read()
                    with translated(operation):
                        info = upload.finish()
        self._abort_unread()
        return attrs.evolve(info, key=key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield objects in S3's order, which is that of the bytes of their names; see `StorageBackend.list`."""
        if self._location.key_of(f"{prefix}x") is None and self._location.key_of(prefix) is None:
            return
        head, slash, tail = prefix.rpartition("/")
        # A MinIO refuses a prefix that ends in a segment `.` or `..`.
        start = self._location.prefix + (f"{head}{slash}" if tail.strip() in {".", ".."} else prefix)
        operation, token = self._operation("list"), None
        while True:
            with translated(operation):
                found, token = self._client.page(start, token)
            for info in found:
                key = self._location.key_of(info.key)
                if key is not None and key.startswith(prefix):
                    yield attrs.evolve(info, key=key)
            if token is None:
                return

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        """Delete up to 1,000 objects with a request; see `StorageBackend.delete`.

        Raises:
            StorageError: A whole request failed; keys that were given before may be deleted.
        """
        pending = iter(keys)
        while batch := list(islice(pending, PAGE)):
            names = []
            for key in batch:
                try:
                    names.append(self._location.name_of(key))
                except StorageKeyError as error:
                    yield DeleteFailure(key=key, reason=error.message)
            with translated(self._operation("delete from")):
                errors = self._client.delete(names)
            for failed in errors:
                reason = ": ".join(filter(None, (failed.code, failed.message)))
                yield DeleteFailure(key=(failed.name or "").removeprefix(self._location.prefix), reason=reason)

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object; see `StorageBackend.stat`."""
        name = self._location.name_of(key)
        with translated(self._operation("look at", key)):
            return attrs.evolve(self._find(key, lambda: self._client.head(name), near=False), key=key)

    def abort_stale_uploads(self) -> int:
        """Abort the uploads of processes that died, and return how many there were.

        A write that went well does it as well, once, and again after an upload that could not be aborted.

        Raises:
            StorageError: The storage could not do its part.
        """
        aborted = 0
        for note in self._notes.abandoned():
            # Without an id, its process died in the instant of asking for one: the server's own expiry drops that.
            if note.upload:
                with translated(self._operation("abort an upload to")):
                    self._client.abort_upload(note.name, note.upload)
                aborted += 1
            note.done = True
        return aborted

    def close(self) -> None:
        """Close the connections that are idle, and repeat no request from now on."""
        self._client.close()

    def _operation(self, doing: str, key: str = "") -> Operation:
        secrets = (self._config.secret_key, self._config.access_key)
        return Operation(doing=doing, location=self._location, key=key, secrets=secrets)

    def _find(self, key: str, look: Callable[[], _Result], *, near: bool = True) -> _Result:
        try:
            return look()
        except S3Error as error:
            if error.code not in {"NoSuchKey", "NoSuchBucket"}:
                raise
        hint = self._near(key) if near or not self._config.create_buckets else None
        raise ObjectNotFoundError(key, backend=self.location, hint=hint)

    def _near(self, key: str) -> str | None:
        """Return a hint to the keys beside `key`; or raise that the bucket is absent, where that is an error."""
        folder = f"{key.rpartition('/')[0]}/".lstrip("/")
        try:
            found, _ = self._client.page(self._location.prefix + folder)
        except FOREIGN as error:
            if isinstance(error, S3Error) and error.code == "NoSuchBucket":
                raise
            return None  # it would only have been a hint
        near = nearest(key, filter(None, (self._location.key_of(one.key) for one in found)))
        return f"Did you mean {' or '.join(near)}?" if near else None

    def _in_bucket(self, write: Callable[[], _Result]) -> _Result:
        try:
            return write()
        except S3Error as error:
            if error.code != "NoSuchBucket" or not self._config.create_buckets:
                raise
        self._client.make_own_bucket()
        return write()

    def _abort_unread(self) -> None:
        if not self._notes.unread:
            return
        try:
            self.abort_stale_uploads()
        except BotdockError as error:
            logger.bind(storage=self.location, error=type(error).__name__).warning("abandoned uploads are still there")
