"""The bytes of an object on their way out, resumed where they were cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from minio.error import S3Error

from botdock.errors import StorageError
from botdock_storage_minio.errors import FOREIGN, ShortAnswerError, is_transient, translated
from botdock_storage_minio.transport import Deadline, until

if TYPE_CHECKING:
    from botdock_storage_minio.client import Client, Opened
    from botdock_storage_minio.errors import Operation
    from botdock_storage_minio.settings import MinIOSettings

_PIECE = 1024 * 1024
"""Bytes that are read at once, as long as all goes well."""
_FORGIVEN_AFTER = 1024 * 1024
"""Bytes after which a fault no longer counts: with fewer, a connection that is always cut would be resumed for ever."""
_CHANGED = frozenset({"NoSuchKey", "NoSuchBucket", "PreconditionFailed"})


class MinIOReader:
    """Reads one version of an object to its end, or raises.

    Args:
        client: Speaks to the bucket.
        name: Of the object.
        offset: Of the first byte.
        opened: The answer that brings it.
        operation: For messages.
        config: How often it is resumed without getting further, and how long a piece may take.
    """

    def __init__(
        self, client: Client, name: str, offset: int, opened: Opened, *, operation: Operation, config: MinIOSettings
    ) -> None:
        self._client = client
        self._name = name
        self._position = offset
        self._opened = opened
        self._operation = operation
        self._config = config
        self._faults = 0
        self._fault_at = offset

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, fewer at the end; all that is left for a negative one."""
        left = self._opened.stop - self._position
        wanted = left if size < 0 else min(size, left)
        pieces = []
        while wanted:
            with translated(self._operation):
                piece = self._piece(wanted)
            pieces.append(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        if (body := self._opened.body) is not None:
            body.close()
            body.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _piece(self, wanted: int) -> bytes:
        deadline = Deadline(self._config.total_timeout, silence=self._config.read_timeout)
        while True:
            try:
                with until(deadline):
                    piece = self._next(wanted)
            except FOREIGN as error:
                self._resume(error)
            else:
                self._position += len(piece)
                return piece

    def _next(self, wanted: int) -> bytes:
        body, size = self._opened.body, min(wanted, _PIECE)
        if body is None:
            raise ShortAnswerError
        # After a fault, what comes is taken as it comes: when a larger piece is cut, all of it must come again.
        piece = body.read1(size) if self._faults else body.read(size)
        if not piece:
            raise ShortAnswerError
        return piece

    def _resume(self, error: Exception) -> None:
        self.close()
        if self._position - self._fault_at > _FORGIVEN_AFTER:
            self._faults = 0
        if not is_transient(error) or self._faults >= self._config.retries:
            raise error
        self._faults += 1
        self._fault_at = self._position
        self._reopen()

    def _reopen(self) -> None:
        opened = self._opened
        try:
            self._opened = self._client.open_part(
                self._name, self._position, opened.stop - self._position, etag=opened.etag
            )
        except S3Error as error:
            if error.code not in _CHANGED:
                raise
            raise self._operation.error(
                StorageError, "it was replaced or deleted while it was read", "Read it again from its beginning."
            ) from error
