"""Collects what containers write, from many of them in one thread."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from botdock._log import logger
from botdock.config.sections import LoggingConfig
from botdock.errors import BotdockError, LogError
from botdock.model.logs import LogChunk, LogCursor, LogSource, LogStream, LogSummary
from botdock.services.collection import Collection, CollectionStatus
from botdock.services.log_files import LogReader, read_tail
from botdock.services.sinks import SinkFanOut

POLL_INTERVAL = 0.02
"""Seconds between looks at streams that have no descriptor to wait on."""
FOLLOW_INTERVAL = 1.0
"""Seconds after which a follower looks again even if nobody woke it."""


class LogCollector:
    """Stores the bytes of any number of containers as they come, in one thread.

    Args:
        config: How long the rest of a log may take, and how much of its end is kept as text.
        sinks: Get every line, each in its own time.
        on_operation: Told of each step: its name, whether it succeeded, bytes.
    """

    def __init__(
        self,
        config: LoggingConfig,
        *,
        sinks: SinkFanOut | None = None,
        on_operation: Callable[[str, bool, int], None] | None = None,
    ) -> None:
        self._config = config
        self._sinks = sinks or SinkFanOut({}, capacity=1)
        self._record = on_operation or (lambda _operation, _success, _size: None)
        self._collections: dict[str, Collection] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._added: list[Collection] = []
        self._polled: list[Collection] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def start_collection(
        self,
        stream: LogStream,
        directory: Path,
        *,
        source: LogSource,
        limit: int,
        on_limit: Callable[[], None] = lambda: None,
        on_failure: Callable[[BotdockError], None] = lambda _error: None,
        reopen: Callable[[LogCursor], LogStream] | None = None,
    ) -> None:
        """Begin to store what `stream` delivers into `directory`.

        Args:
            stream: Belongs to the collector from now on.
            directory: Where the log files are made.
            source: Whose log it is; its `execution_id` names the collection.
            limit: Bytes that are stored at most.
            on_limit: Called once when the bot wrote more; must not wait.
            on_failure: Called when the log can be stored no longer (a full disk); must not wait.
            reopen: Continues a stream that broke, from what is stored; None means that it cannot be continued.

        Raises:
            LogError: The files could not be made.
        """
        try:
            collection = Collection(
                stream,
                directory,
                source=source,
                limit=limit,
                on_limit=on_limit,
                on_failure=on_failure,
                reopen=reopen,
                sinks=self._sinks,
            )
        except LogError:
            self._record("start_collection", False, 0)  # noqa: FBT003 - the callback's signature
            raise
        with self._lock:
            self._collections[source.execution_id] = collection
            self._added.append(collection)
            self._start_thread()
        self._wake()
        self._record("start_collection", True, 0)  # noqa: FBT003 - the same

    def wait_drained(self, execution_id: str, timeout: float) -> bool:
        """Wait until the log has been read to its end, at most `timeout` seconds; return whether it has."""
        return self._collection(execution_id).wait_ended(timeout)

    def stop_collection(self, execution_id: str) -> LogSummary:
        """Stop storing, and return counts and hashes; a log that was not read to its end is not `complete`."""
        collection = self._collection(execution_id)
        collection.abandon()
        self._wake()
        collection.wait_ended(self._config.drain_timeout)
        summary = collection.finish()
        self._record("collect", summary.complete, summary.bytes)
        return summary

    def forget(self, execution_id: str) -> None:
        """Drop what is remembered of a stopped collection; its files stay."""
        with self._lock:
            self._collections.pop(execution_id, None)

    def collect_logs(self, execution_id: str, size: int | None = None) -> str:
        """Return the end of what is stored so far, both streams as they came, as text.

        Args:
            execution_id: Whose.
            size: Bytes; None means `LoggingConfig.output_tail`.
        """
        directory = self._collection(execution_id).directory
        return read_tail(directory, size or self._config.output_tail).decode("utf-8", "replace")

    def stream_logs(self, execution_id: str, *, follow: bool = True) -> Iterator[LogChunk]:
        """Return what is stored, from the first byte on; with `follow` what comes as well, until the log has ended.

        Raises:
            LogError: At once, when no such log is being collected here.
        """
        return self._read(self._collection(execution_id), follow=follow)

    @staticmethod
    def _read(collection: Collection, *, follow: bool) -> Iterator[LogChunk]:
        with LogReader(collection.directory) as reader:
            while True:
                seen, ended = collection.progress()
                yield from reader.read()
                if ended or not follow:
                    return
                collection.wait_progress(seen, FOLLOW_INTERVAL)

    def get_collection_status(self, execution_id: str) -> CollectionStatus:
        """Return how the collection stands: bytes so far, whether it has ended, and why if it broke."""
        return self._collection(execution_id).status()

    def close(self) -> None:
        """Stop everything and let the sinks deliver what they hold."""
        with self._lock:
            self._closing = True
            thread = self._thread
            collections = list(self._collections.values())
        for collection in collections:
            collection.abandon()
        self._wake()
        if thread:
            thread.join()
        for collection in collections:
            collection.finish()
        self._sinks.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _collection(self, execution_id: str) -> Collection:
        with self._lock:
            collection = self._collections.get(execution_id)
        if collection is None:
            raise LogError(f"no log of execution {execution_id!r} is being collected here")
        return collection

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="botdock-logs", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: the loop is about to wake anyway
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        """Serve every stream until closed; the one thread that reads them."""
        while not self._closing:
            timeout = POLL_INTERVAL if self._polled else None
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    self._wakened()
                else:
                    self._serve(key.data)
            for collection in list(self._polled):
                self._serve(collection)

    def _wakened(self) -> None:
        while True:
            try:
                if len(os.read(self._wake_read, 4096)) < 4096:  # noqa: PLR2004 - the size just asked for
                    break
            except BlockingIOError:
                break
        with self._lock:
            added, self._added = self._added, []
        for collection in added:
            self._admit(collection)
        for collection in self._served():
            if collection.abandoned:
                self._serve(collection)

    def _served(self) -> list[Collection]:
        registered = [key.data for key in self._selector.get_map().values() if key.data is not None]
        return [*registered, *self._polled]

    def _admit(self, collection: Collection) -> None:
        descriptor = collection.fileno()
        if descriptor is None:
            self._polled.append(collection)
        else:
            self._selector.register(descriptor, selectors.EVENT_READ, collection)
        self._serve(collection)  # what came before it was registered

    def _serve(self, collection: Collection) -> None:
        if collection.pump():
            return
        self._dismiss(collection)
        if collection.broken and collection.can_resume and not collection.abandoned:
            threading.Thread(target=self._resume, args=(collection,), name="botdock-log-resume", daemon=True).start()
        else:
            collection.end()

    def _dismiss(self, collection: Collection) -> None:
        if collection in self._polled:
            self._polled.remove(collection)
        for key in list(self._selector.get_map().values()):
            if key.data is collection:
                self._selector.unregister(key.fd)
        collection.close_stream()

    def _resume(self, collection: Collection) -> None:
        """Continue a broken stream from what is stored; it may have to wait for the engine, so not in the loop."""
        if collection.resume():
            with self._lock:
                self._added.append(collection)
            self._wake()
        else:
            logger.bind(execution_id=collection.source.execution_id).warning("the log could not be continued")
            collection.end()
