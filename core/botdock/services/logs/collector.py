"""Collects what containers write, from many of them in one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from collections.abc import Collection as Some
from contextlib import closing
from pathlib import Path

import attrs

from botdock.config.sections import LoggingConfig
from botdock.errors import BotdockError, LogError
from botdock.model.logs import LogChunk, LogCursor, LogSource, LogStream, LogSummary
from botdock.services.lines import last_text
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogReader, LogWriter
from botdock.services.logs.collection import Collection, State
from botdock.services.logs.intake import CollectionStatus
from botdock.services.logs.loop import LogLoop
from botdock.services.logs.maintenance import Maintenance

FOLLOW_INTERVAL = 1.0
"""Seconds after which a follower looks again even if nothing woke it."""
CLOSE_TIMEOUT = 5.0
"""Seconds that each part has to come to its end when the collector is closed."""
RETAINED_SEGMENTS = 4
"""How many segments what is retained has at least: the oldest goes as a whole."""
SMALLEST_PIECE = 4096
LARGEST_CHUNK = 1024 * 1024
"""Bytes of a chunk as it is stored; a stream that delivers larger ones makes no reader hold them."""


@attrs.frozen(kw_only=True)
class Options:
    """What the starter of a collection wants of it; see `LogCollector.start_collection`.

    Attributes:
        segment_bytes: Bytes of a segment.
        largest: Bytes of a chunk as it is stored.
    """

    segment_bytes: int
    largest: int
    retain: int | None
    on_limit: Callable[[], None]
    on_failure: Callable[[BotdockError], None]
    on_segment: Callable[[int], None] | None
    reopen: Callable[[LogCursor], LogStream] | None


class LogCollector:
    """Stores the bytes of any number of containers as they come, in one thread.

    What may wait, for the disk, an engine or a storage, is done in a few other threads, however many logs there are.

    Args:
        config: How the logs are stored, and how long the rest of one may take.
        sinks: Get every line, each in its own time; None for none.
        on_operation: Told of each step: its name, whether it succeeded, bytes. Must not wait.
        reconnect_timeout: Seconds that a broken stream has to be readable again; an engine may be away for as long.
    """

    def __init__(
        self,
        config: LoggingConfig,
        *,
        sinks: SinkFanOut | None = None,
        on_operation: Callable[[str, bool, int], None] | None = None,
        reconnect_timeout: float = 15.0,
    ) -> None:
        self._config = config
        self._sinks = sinks
        self._record = on_operation or (lambda _operation, _success, _size: None)
        self._collections: dict[str, Collection] = {}
        self._lock = threading.Lock()
        self._maintenance = Maintenance(config, reconnect_timeout=reconnect_timeout, record=self._record)
        self._loop = LogLoop(on_stored=self._maintenance.stored, on_left=self._left)

    def start_collection(
        self,
        stream: LogStream | None,
        directory: Path,
        *,
        source: LogSource,
        limit: int | None,
        retain: int | None = None,
        secrets: Some[bytes] = (),
        on_limit: Callable[[], None] = lambda: None,
        on_failure: Callable[[BotdockError], None] = lambda _error: None,
        on_segment: Callable[[int], None] | None = None,
        reopen: Callable[[LogCursor], LogStream] | None = None,
    ) -> None:
        """Begin to store what `stream` delivers into `directory`, or go on with what lies there.

        Args:
            stream: Belongs to the collector from now on. None lets `reopen` open it, in another thread.
            directory: Where the log is, or is made.
            source: Whose log it is; its `execution_id` names the collection.
            limit: Bytes that are stored at most, or None. Of what comes after, the last `LoggingConfig.output_tail`
                bytes are kept.
            retain: Bytes that are kept at most, or None: the oldest segments go. Not together with `limit`.
            secrets: What is masked.
            on_limit: Called once when the bot wrote more; must not wait.
            on_failure: Called once when the log can be stored no longer (a full disk); must not wait.
            on_segment: Called with the number of each segment that the log no longer goes on in, once it is sealed, in
                order, and before it may be compressed. It may take its time; a segment that retention has to remove
                meanwhile is removed. The collector that takes over a log hands on again what may not have been stored.
            reopen: Opens the stream from a cursor on, after it broke; None means that it cannot be continued.

        Raises:
            LogError: The files cannot be written, the log has ended, or it is being collected already.
            ValueError: There is neither a stream nor a way to open one, or both a limit and a bound of retention.
        """
        if stream is None and reopen is None:
            raise ValueError("there is neither a stream nor a way to open one")
        if limit is not None and retain is not None:
            raise ValueError("a log has a limit or a bound of retention, not both")
        segment_bytes = self._config.segment_bytes
        if retain is not None:
            segment_bytes = max(min(segment_bytes, retain // RETAINED_SEGMENTS), 1)
        options = Options(
            segment_bytes=segment_bytes,
            largest=min(max(segment_bytes // RETAINED_SEGMENTS, SMALLEST_PIECE), LARGEST_CHUNK),
            retain=retain,
            on_limit=on_limit,
            on_failure=on_failure,
            on_segment=on_segment,
            reopen=reopen,
        )
        with self._lock:
            is_known = source.execution_id in self._collections
        if is_known:
            self._record("start_collection", False, 0)  # noqa: FBT003 - the callback's signature
            raise LogError(f"the log of execution {source.execution_id!r} is being collected already")
        try:
            writer = LogWriter(
                directory, limit=limit, tail=self._config.output_tail, segment_bytes=segment_bytes, secrets=secrets
            )
        except LogError:
            self._record("start_collection", False, 0)  # noqa: FBT003 - the callback's signature
            raise
        collection = Collection(writer, stream, source=source, options=options, sinks=self._sinks, record=self._record)
        with self._lock:
            self._collections[source.execution_id] = collection
        self._record("start_collection", True, 0)  # noqa: FBT003 - the callback's signature
        if writer.segment.number:  # else another collector left no segment that it had closed
            self._maintenance.take_over(collection)
        if stream is not None:
            self._loop.look_at(collection)
        else:
            self._maintenance.reopen_soon(collection, self._loop.look_at)

    def wait_drained(self, execution_id: str, timeout: float) -> bool:
        """Wait until the log has been read to its end, from now on without a rest; return whether it has.

        True as well when nothing more will come of a log that cannot be continued.

        Args:
            execution_id: Whose.
            timeout: Seconds for which nothing may come. While something does, and while a broken stream is being
                opened again, for as long as `reconnect_timeout` allows, it goes on to wait: a long log takes its time.
        """
        collection = self._collection(execution_id)
        collection.hurries = True
        self._loop.look_at(collection)
        return collection.wait_drained(timeout)

    def stop_collection(self, execution_id: str, *, exit_known: bool = True) -> LogSummary:
        """Stop storing, write the log's end, and return counts and hashes.

        Segments that are on their way to `on_segment` have `LoggingConfig.drain_timeout` to get there.

        Args:
            execution_id: Whose.
            exit_known: Whether it is known how the bot ended. If not, or if the log was not read to its end, it is not
                `complete`.
        """
        collection = self._collection(execution_id)
        if collection.state is not State.ENDED:
            self._leave(collection)
        if collection.writer.segment.number:  # else none was closed
            self._maintenance.seal_all(collection, self._config.drain_timeout)
        summary = collection.finish(exit_known=exit_known)
        self._record("collect", summary.complete, 0)
        return summary

    def short_text(self, execution_id: str) -> str | None:
        """Return all of a log that has stopped as text, both streams as they came, where it is at hand.

        None where it is longer than `LoggingConfig.output_tail`, or another collector began it: `StoredLog.tail` reads.
        """
        short = self._collection(execution_id).writer.short
        return None if short is None else last_text(short, self._config.output_tail)

    def release(self, execution_id: str) -> None:
        """Stop storing without an end: another collector can go on where this one stopped. It is forgotten here."""
        self._release(self._collection(execution_id))
        self.forget(execution_id)

    def forget(self, execution_id: str) -> None:
        """Drop what is remembered of a stopped collection; its files stay."""
        with self._lock:
            self._collections.pop(execution_id, None)

    def stream_logs(self, execution_id: str, *, follow: bool = True) -> Iterator[LogChunk]:
        """Return what is stored, from the first byte on; with `follow` what comes as well, until the log has ended.

        Raises:
            LogError: At once, when no such log is being collected here; later, when it cannot be read.
        """
        return self._read(self._collection(execution_id), follow=follow)

    def wait_progress(self, execution_id: str, seen: int, timeout: float) -> tuple[int, bool]:
        """Wait until more is stored than at `seen`, or the log has ended, at most `timeout` seconds.

        Returns:
            What to wait from the next time, and whether it has ended; `seen` is -1 at first, which waits for nothing.

        Raises:
            LogError: No such log is being collected here.
        """
        return self._collection(execution_id).wait_progress(seen, timeout)

    @staticmethod
    def _read(collection: Collection, *, follow: bool) -> Iterator[LogChunk]:
        try:
            with closing(LogReader(collection.directory)) as reader:
                seen = -1
                while True:
                    seen, ended = collection.wait_progress(seen, FOLLOW_INTERVAL)
                    yield from (entry for entry in reader.read() if isinstance(entry, LogChunk))
                    if ended or not follow:
                        return
        except (OSError, ValueError) as error:
            raise LogError(f"the log in {collection.directory} cannot be read: {error}") from error

    def get_collection_status(self, execution_id: str) -> CollectionStatus:
        """Return how the collection stands: bytes so far, whether it has ended, and why if it broke."""
        return self._collection(execution_id).status()

    def close(self) -> None:
        """Release what still runs, so that another collector can go on, and let the sinks deliver what they hold."""
        with self._lock:
            collections = list(self._collections.values())
        for collection in collections:
            collection.abandon()
            self._loop.look_at(collection)
        for collection in collections:
            self._release(collection)
        self._loop.close(CLOSE_TIMEOUT)
        self._maintenance.close(CLOSE_TIMEOUT)
        if self._sinks is not None:
            self._sinks.close()

    def _release(self, collection: Collection) -> None:
        self._leave(collection)
        collection.release()
        self._maintenance.let_go(collection, CLOSE_TIMEOUT)

    def _leave(self, collection: Collection) -> None:
        """Let the loop read a collection no longer, and wait until it does not."""
        collection.abandon()
        self._loop.look_at(collection)
        collection.wait_ended(CLOSE_TIMEOUT)

    def _collection(self, execution_id: str) -> Collection:
        with self._lock:
            collection = self._collections.get(execution_id)
        if collection is None:
            raise LogError(f"no log of execution {execution_id!r} is being collected here")
        return collection

    def _left(self, collection: Collection) -> None:
        if collection.leave():
            self._maintenance.reopen_soon(collection, self._loop.look_at)
