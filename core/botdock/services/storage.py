"""What an execution leaves behind, and where code comes from: names of objects, over any storage backend."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from botdock._log import logger
from botdock.config.sections import OutboxConfig
from botdock.errors import StorageError, StorageKeyError, UserError
from botdock.model import DeleteFailure, OutboxStatus, Receipt, StorageArea, validate_key
from botdock.services._latest import put_latest, put_object
from botdock.services._metering import MeteredBackend, MeteredReader, Operation, Report
from botdock.services.outbox import Message, Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    With an outbox, what is to be stored is written to this disk at once, and delivered as soon as the storage takes
    it: neither a storage that is away nor a slow one holds up a caller. Without one, it is stored before the call ends.

    Args:
        open_backend: Opens the backend of an area; called when the area is first used.
        outbox: Folder in which waits what is to be stored.
        config: How much may wait there.
        on_operation: Told of each operation: `put`, `get`, `delete`, `enqueue`, `deliver`, `drop`, and of the calls
            to what `metered` returns; seconds; bytes; success.

    Example:
        >>> from botdock_testing.memory_storage import MemoryBackend
        >>> service = StorageService(lambda area: MemoryBackend())
        >>> service.store_results("01jd9pz7p0k0v6r3h2m4n5q8st", "hello", b"{}").key
        'executions/01jd9pz7p0k0v6r3h2m4n5q8st/result.json'
    """

    def __init__(
        self,
        open_backend: Callable[[StorageArea], StorageBackend],
        *,
        outbox: Path | None = None,
        config: OutboxConfig | None = None,
        on_operation: Report | None = None,
    ) -> None:
        self._open_backend = open_backend
        self._report: Report = on_operation or (lambda *_: None)
        self._backends: dict[StorageArea, StorageBackend] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._outbox = (
            Outbox(outbox, config or OutboxConfig(), self._deliver, on_operation=on_operation) if outbox else None
        )

    def store_results(self, execution_id: str, id: str, data: bytes) -> Receipt:  # noqa: A002 - the field's name
        """Store the result document of an execution as `executions/<execution_id>/result.json`.

        Raises:
            StorageKeyError: An id is not a single name.
            StorageError: The storage, or the outbox before it, could not do its part.
        """
        key = f"executions/{_name(execution_id)}/result.json"
        receipt = self._store(Message(area=StorageArea.RESULTS, key=key, execution_id=execution_id), data)
        logger.bind(execution_id=execution_id, id=id, key=key, size=receipt.size).debug("result stored")
        return receipt

    def store_logs(self, execution_id: str, id: str, name: str, source: ByteReader | Path) -> Receipt:  # noqa: A002 - the same
        """Store a part of an execution's log as `logs/<id>/<execution_id>/<name>`; it is never written to again.

        Args:
            execution_id: The run.
            id: The executable.
            name: Of the part, such as `stdout.0`.
            source: What is read to its end; or a file to which bytes are appended at most, and what it holds now is
                stored: it gets a second name in the outbox, so that even a large one costs next to nothing.

        Raises:
            StorageKeyError: An id or a name is not a single name.
            StorageError: The storage, or the outbox before it, could not do its part.
        """
        key = f"logs/{_name(id)}/{_name(execution_id)}/{_name(name)}"
        return self._store(Message(area=StorageArea.LOGS, key=key, execution_id=execution_id), source)

    def store_analysis(self, execution_id: str, id: str, analysis: bytes) -> Receipt:  # noqa: A002 - the same
        """Store what the latest backtest of `id` returned as `<id>/analysis.json`, the name that it always had.

        The latest is the one whose execution id sorts last, whenever and from wherever it arrives; beside it,
        `<id>/analysis/<execution_id>.json` says which one that is.

        Raises:
            UserError: It is not JSON.
            StorageKeyError: An id is not a single name.
            StorageError: The storage, or the outbox before it, could not do its part.
        """
        key = f"{_name(id)}/analysis.json"
        _check_json(id, analysis)
        message = Message(area=StorageArea.RESULTS, key=key, execution_id=_name(execution_id), latest=True)
        return self._store(message, analysis)

    def resume(self) -> None:
        """Begin to deliver what an earlier process left in the outbox."""
        if self._outbox:
            self._outbox.resume()

    def flush(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until the outbox is empty or the storage takes nothing; say which."""
        return self._outbox is None or self._outbox.drain(timeout)

    def outbox_status(self) -> OutboxStatus:
        """Return what waits in the outbox, what failed and what was dropped."""
        return self._outbox.status() if self._outbox else OutboxStatus()

    def retrieve_code(self, key: str) -> ObjectReader:
        """Open a code archive; use it as a context manager.

        Raises:
            StorageKeyError: Not a key.
            ObjectNotFoundError: It is not there.
            StorageError: The storage could not do its part.
        """
        return MeteredReader(lambda: self.backend(StorageArea.CODE).get(validate_key(key)), self._report)

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
        listed = 0

        def keys() -> Iterator[str]:
            nonlocal listed
            for listed, info in enumerate(backend.list(prefix), start=1):  # noqa: B007 - counts what passes through
                yield info.key

        with Operation("delete", self._report) as operation:
            backend = self.backend(area)
            failures = tuple(backend.delete(keys()))
            operation.success = not failures
        return DeleteReport(deleted=listed - len(failures), failures=failures)

    def backend(self, area: StorageArea) -> StorageBackend:
        """Return the backend of an area, opened when first asked for.

        Raises:
            StorageError: The service is closed.
        """
        with self._lock:
            self._check_is_open()
            if area not in self._backends:
                self._backends[area] = self._open_backend(area)
            return self._backends[area]

    def metered(self, area: StorageArea) -> StorageBackend:
        """Return the backend of an area, each call of which is reported: `get`, `put`, `list`, `delete`, `stat`.

        Raises:
            StorageError: The service is closed.
        """
        return MeteredBackend(self.backend(area), self._report)

    def close(self) -> None:
        """Deliver what can be delivered soon, and close every backend that was opened; may be called twice."""
        if self._outbox:
            self._outbox.close()
        with self._lock:
            self._closed = True
            backends, self._backends = self._backends, {}
        for backend in backends.values():
            backend.close()

    def _store(self, message: Message, source: ByteReader | Path | bytes) -> Receipt:
        """Put it into the outbox; or, without one, into the storage."""
        validate_key(message.key)
        self._check_is_open()
        if self._outbox:
            return self._outbox.add(message, source)
        try:
            with _opened(source) as reader:
                size = self._put(message, reader)
        except OSError as error:  # of the source: a backend lets none out
            raise StorageError(f"cannot store {message.key!r}: {error.strerror or error}", key=message.key) from error
        return Receipt(area=message.area, key=message.key, size=size)

    def _deliver(self, message: Message, source: ByteReader) -> None:
        self._put(message, source, size=message.size)

    def _put(self, message: Message, source: ByteReader, *, size: int | None = None) -> int:
        with Operation("put", self._report) as operation:
            backend = self.backend(message.area)
            put = put_latest if message.latest else put_object
            operation.size = put(backend, message, source, size=size)
        return operation.size

    def _check_is_open(self) -> None:
        if self._closed:
            raise StorageError("the storage service is closed", hint="Open a new one, or close this one later.")


@contextmanager
def _opened(source: ByteReader | Path | bytes) -> Iterator[ByteReader]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(source) if isinstance(source, bytes) else source


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
