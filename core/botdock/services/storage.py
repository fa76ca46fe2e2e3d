"""What an execution leaves behind, and where code comes from: names of objects, over any storage backend."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, NoReturn

import attrs

from botdock._log import logger
from botdock.errors import StorageError, StorageKeyError, UserError
from botdock.model import DeleteFailure, ObjectInfo, StorageArea, validate_key
from botdock.services._metering import MeteredReader, Operation, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from botdock.model import ByteReader, ObjectReader, StorageBackend


@attrs.frozen(kw_only=True)
class DeleteReport:
    """What became of a deletion.

    Attributes:
        deleted: Objects that are gone.
        failures: Objects that could not be deleted, each with its reason.
    """

    deleted: int
    failures: tuple[DeleteFailure, ...] = ()


class StorageService:
    """Stores results, logs and analyses, and opens code. Safe to use from several threads.

    Args:
        open_backend: Opens the backend of an area; called when the area is first used.
        on_operation: Told of each operation: `storage.put`, `storage.get`, `storage.delete`; seconds; bytes; success.

    Example:
        >>> from botdock.testing.memory_storage import MemoryBackend
        >>> service = StorageService(lambda area: MemoryBackend())
        >>> service.store_results("01jd9pz7p0k0v6r3h2m4n5q8st", "hello", b"{}").key
        'executions/01jd9pz7p0k0v6r3h2m4n5q8st/result.json'
    """

    def __init__(
        self, open_backend: Callable[[StorageArea], StorageBackend], *, on_operation: Report | None = None
    ) -> None:
        self._open_backend = open_backend
        self._report: Report = on_operation or (lambda *_: None)
        self._backends: dict[StorageArea, StorageBackend] = {}
        self._lock = threading.Lock()
        self._closed = False

    def store_results(self, execution_id: str, id: str, data: bytes) -> ObjectInfo:  # noqa: A002 - the field's name
        """Store the result document of an execution as `executions/<execution_id>/result.json`.

        Raises:
            StorageKeyError: An id that is no single name.
            StorageError: The storage could not do its part.
        """
        key = f"executions/{_name(execution_id)}/result.json"
        info = self._put(StorageArea.RESULTS, key, io.BytesIO(data), size=len(data))
        logger.bind(execution_id=execution_id, id=id, key=key, size=info.size).debug("result stored")
        return info

    def store_logs(self, execution_id: str, id: str, name: str, reader: ByteReader) -> ObjectInfo:  # noqa: A002 - the same
        """Store a part of an execution's log as `logs/<id>/<execution_id>/<name>`; it is never written to again.

        Raises:
            StorageKeyError: An id or a name that is no single name.
            StorageError: The storage could not do its part.
        """
        key = f"logs/{_name(id)}/{_name(execution_id)}/{_name(name)}"
        return self._put(StorageArea.LOGS, key, reader)

    def store_analysis(self, id: str, analysis: bytes) -> ObjectInfo:  # noqa: A002 - the same
        """Store what the latest backtest of `id` returned as `<id>/analysis.json`, the name that it always had.

        Raises:
            UserError: It is not JSON.
            StorageKeyError: An id that is no single name.
            StorageError: The storage could not do its part.
        """
        key = f"{_name(id)}/analysis.json"
        _check_json(id, analysis)
        return self._put(StorageArea.RESULTS, key, io.BytesIO(analysis), size=len(analysis))

    def retrieve_code(self, key: str) -> ObjectReader:
        """Open a code archive; use it as a context manager.

        Raises:
            StorageKeyError: Not a key.
            ObjectNotFoundError: There is no such object.
            StorageError: The storage could not do its part.
        """
        operation = Operation("storage.get", self._report)
        try:
            return MeteredReader(self.backend(StorageArea.CODE).get(validate_key(key)), operation)
        except BaseException:
            operation.success = False
            operation.end()
            raise

    def delete_files(self, area: StorageArea, prefix: str) -> DeleteReport:
        """Delete all objects of an area whose keys begin with `prefix`; end it with `/` to mean a folder.

        Raises:
            UserError: An empty prefix, which would delete everything.
            StorageError: The storage could not do its part.
        """
        if not prefix:
            raise UserError(
                f"deleting from {area} with an empty prefix would delete everything in it",
                hint="Name the first characters of the keys, such as 'logs/hello/'.",
            )
        counted = _Counted()
        with Operation("storage.delete", self._report) as operation:
            backend = self.backend(area)
            failures = tuple(backend.delete(counted(info.key for info in backend.list(prefix))))
            operation.success = not failures
        return DeleteReport(deleted=counted.items - len(failures), failures=failures)

    def backend(self, area: StorageArea) -> StorageBackend:
        """Return the backend of an area, opened when first asked for.

        Raises:
            StorageError: The service is closed.
        """
        with self._lock:
            if self._closed:
                raise StorageError("the storage service is closed", hint="Open a new one, or close this one later.")
            if area not in self._backends:
                self._backends[area] = self._open_backend(area)
            return self._backends[area]

    def close(self) -> None:
        """Close every backend that was opened; may be called twice."""
        with self._lock:
            self._closed = True
            backends, self._backends = self._backends, {}
        for backend in backends.values():
            backend.close()

    def _put(self, area: StorageArea, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        with Operation("storage.put", self._report) as operation:
            try:
                info = self.backend(area).put(validate_key(key), source, size=size)
            except OSError as error:  # of the source: a backend lets none out
                raise StorageError(f"cannot store {key!r}: {error.strerror or error}", key=key) from error
            operation.size = info.size
        return info


class _Counted:
    """Counts what passes through."""

    items = 0

    def __call__(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            self.items += 1
            yield key


def _name(text: str) -> str:
    """Return `text` if it is one name: an id that held `/` would reach into another one's objects."""
    if "/" in validate_key(text):
        raise StorageKeyError(text, "must be one name here, without '/'")
    return text


def _check_json(id: str, analysis: bytes) -> None:  # noqa: A002 - the same
    try:
        json.loads(analysis, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"the analysis of {id!r} is not JSON: {error}", hint="A backtest must return what JSON can hold."
        ) from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")
