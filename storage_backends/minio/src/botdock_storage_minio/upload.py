"""An object that is sent in parts, several at once, and appears when all are there, or never."""

from __future__ import annotations

import hashlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

from minio.error import S3Error

from botdock.logging import carried, logger_of
from botdock_storage_minio.errors import FOREIGN
from botdock_storage_minio.faults import is_transient

if TYPE_CHECKING:
    from botdock_storage_minio.client import Client, Known
    from botdock_storage_minio.notes import Note

logger = logger_of(__name__)


class MultipartUpload:
    """A context manager that aborts the upload unless it was finished.

    Args:
        client: Speaks to the bucket.
        note: Tells a successor of the upload, whose id it holds, should this process die.
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
        """Send a part, once fewer than `parallel` are on their way; what an earlier one failed of is raised here."""
        while len(self._running) >= self._parallel:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for part in done:
                part.result()
        self._size += len(data)
        number = len(self._parts) + 1
        part = self._threads.submit(carried(self._client.put_part), self._note.name, self._note.upload, number, data)
        self._parts.append(part)
        self._running.add(part)

    def finish(self) -> Known:
        """Wait for the last parts, and make them the object."""
        etags = [part.result() for part in self._parts]
        try:
            known = self._client.complete_upload(self._note.name, self._note.upload, etags, self._size)
        except FOREIGN as error:
            return self._completed_unseen(error, etags)
        self._note.done = True
        return known

    def _completed_unseen(self, error: Exception, etags: list[str]) -> Known:
        """Find out whether a completion took place whose answer was lost, and raise its error if not.

        After an abort that was answered, the upload is either completed or will never be.
        """
        if not is_transient(error) and not (isinstance(error, S3Error) and error.code == "NoSuchUpload"):
            raise error
        self._abort()
        known = self._look() if self._note.done else None
        if known is None or known.etag != _etag_of(etags):
            raise error
        return known

    def _look(self) -> Known | None:
        try:
            return self._client.head(self._note.name)
        except FOREIGN:
            return None

    def _abort(self) -> None:
        try:
            self._client.abort_upload(self._note.name, self._note.upload)
        except FOREIGN as error:
            # Its note stays, and the next one who can reach the storage aborts it.
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
