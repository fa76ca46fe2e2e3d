"""An object that is sent in parts, several at once, and appears when all have arrived, or never."""

from __future__ import annotations

import hashlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from minio.error import S3Error

from botdock.errors import StorageError
from botdock.logging import carried, logger_of
from botdock_storage_minio.errors import FOREIGN, is_transient

if TYPE_CHECKING:
    from botdock.model import ByteReader, ObjectInfo
    from botdock_storage_minio.client import Client
    from botdock_storage_minio.notes import Note

logger = logger_of(__name__)

MOST_PARTS = 10_000
"""Parts that an object may have: S3's bound."""


class Parts:
    """Cuts a stream into parts, one in memory at a time, and holds it to the size that was announced.

    Args:
        source: Read to its end; what it raises goes through.
        size: Bytes that were announced; None where the size is not known.
        part_size: Bytes of every part but the last.
        key: The object, for messages.
        backend: The storage, for messages.

    Attributes:
        ended: Whether the last part was read.

    Raises:
        StorageError: More was announced than an object can hold.
    """

    def __init__(self, source: ByteReader, *, size: int | None, part_size: int, key: str, backend: str) -> None:
        self.ended = False
        self._source = source
        self._announced = size
        self._part_size = part_size
        self._key = key
        self._backend = backend
        self._size = 0
        self._check_bound(size or 0)

    def read(self) -> bytes | bytearray:
        """Return the next part; an empty one after the last.

        Raises:
            StorageError: More or less came than was announced, or more than an object can hold.
        """
        if self.ended:
            return b""
        data = self._fill()
        self._size += len(data)
        self._check_bound(self._size)
        self.ended = len(data) < self._part_size or self._size == self._announced
        if self._announced is not None:
            more = self._size > self._announced or (self._size == self._announced and bool(self._source.read(1)))
            if more or (self.ended and self._size != self._announced):
                came = "more" if more else str(self._size)
                raise self._error(f"{self._announced} bytes were announced, {came} came")
        return data

    def _fill(self) -> bytes | bytearray:
        piece = self._source.read(self._part_size)
        if len(piece) == self._part_size:
            return piece
        data = bytearray()
        while piece:
            data += piece
            piece = self._source.read(self._part_size - len(data)) if len(data) < self._part_size else b""
        return data

    def _check_bound(self, size: int) -> None:
        if size > self._part_size * MOST_PARTS:
            least = -(-size // MOST_PARTS)
            raise self._error(
                f"an object of {MOST_PARTS} parts of {self._part_size} bytes is the largest possible",
                f"Set minio.part_size to {least} or more; minio.parallel_parts + 1 of them are held in memory.",
            )

    def _error(self, problem: str, hint: str | None = None) -> StorageError:
        return StorageError(f"{self._key!r}: {problem}", key=self._key, backend=self._backend, hint=hint)


class MultipartUpload:
    """A context manager that aborts the upload unless it was finished.

    Args:
        client: Speaks to the bucket.
        note: Holds the id of the upload, for the process that aborts it should this one die.
        parallel: Parts on their way at once; as many are held in memory.
    """

    def __init__(self, client: Client, note: Note, *, parallel: int) -> None:
        self._client = client
        self._note = note
        self._parallel = parallel
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="botdock-minio")
        self._parts: list[Future[str]] = []
        self._running: set[Future[str]] = set()
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        if not self._note.done:
            self._abort()

    def send(self, data: bytes | bytearray) -> None:
        """Send a part, once fewer than `parallel` are on their way; the error of an earlier one is raised here."""
        while len(self._running) >= self._parallel:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for part in done:
                part.result()
        self._size += len(data)
        number = len(self._parts) + 1
        part = self._threads.submit(carried(self._client.put_part), self._note.name, self._note.upload, number, data)
        self._parts.append(part)
        self._running.add(part)

    def finish(self) -> ObjectInfo:
        """Wait for the last parts, and make them the object."""
        etags = [part.result() for part in self._parts]
        try:
            known = self._client.complete_upload(self._note.name, self._note.upload, etags, self._size)
        except FOREIGN as error:
            return self._completed_unseen(error, etags)
        self._note.done = True
        return known

    def _completed_unseen(self, error: Exception, etags: list[str]) -> ObjectInfo:
        """Find out whether a completion took place whose answer was lost, and raise its error if not.

        After an abort that was answered, the upload is either completed or will never be.
        """
        if not is_transient(error) and not (isinstance(error, S3Error) and error.code == "NoSuchUpload"):
            raise error
        self._abort()
        if self._note.done:
            with suppress(*FOREIGN):
                known = self._client.head(self._note.name)
                if known.etag == _etag_of(etags):
                    return known
        raise error

    def _abort(self) -> None:
        try:
            self._client.abort_upload(self._note.name, self._note.upload)
        except FOREIGN as error:
            # Its note stays, and the next write that goes well aborts it.
            logger.bind(object=self._note.name, error=type(error).__name__).warning("an upload could not be aborted")
        else:
            self._note.done = True


def _etag_of(etags: list[str]) -> str:
    """Return the etag that S3 gives an object of parts: the MD5 of their MD5s, and how many they are."""
    try:
        digests = b"".join(map(bytes.fromhex, etags))
    except ValueError:  # an S3 whose etags are something else
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"
