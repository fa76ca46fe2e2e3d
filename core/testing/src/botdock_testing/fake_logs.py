"""A log collector without selectors, sinks or housekeeping, for testing what stands above it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

import attrs

from botdock.errors import BotdockError, LogError
from botdock.model import LogChunk, LogCursor, LogSource, LogStream, LogSummary
from botdock.services.log_store import LogReader, LogWriter
from botdock.services.logs import CollectionStatus

_JOIN_TIMEOUT = 10.0
_READ_TIMEOUT = 0.01
_REOPEN_ATTEMPTS = 5
_TAIL = 65536


class FakeLogs:
    """A log collector with a thread for each log; what is closed is sealed and handed on only when it is stopped."""

    def __init__(self) -> None:
        self._logs: dict[str, _FakeLog] = {}

    def start_collection(
        self,
        stream: LogStream | None,
        directory: Path,
        *,
        source: LogSource,
        limit: int | None,
        retain: int | None = None,  # noqa: ARG002 - nothing is removed
        secrets: Collection[bytes] = (),
        on_limit: Callable[[], None] = lambda: None,
        on_failure: Callable[[BotdockError], None] = lambda _error: None,
        on_segment: Callable[[int], None] | None = None,
        reopen: Callable[[LogCursor], LogStream] | None = None,
    ) -> None:
        """Read the stream in a thread."""
        calls = _Calls(on_limit=on_limit, on_failure=on_failure, on_segment=on_segment, reopen=reopen)
        writer = LogWriter(directory, limit=limit, tail=_TAIL, secrets=secrets)
        self._logs[source.execution_id] = _FakeLog(writer, stream, calls)

    def wait_drained(self, execution_id: str, timeout: float) -> bool:
        """Wait for the thread, `timeout` seconds at most."""
        return self._log(execution_id).ended.wait(timeout)

    def stop_collection(self, execution_id: str, *, exit_known: bool = True) -> LogSummary:
        """Stop reading, and write the end."""
        return self._log(execution_id).stop(exit_known=exit_known)

    def short_text(self, execution_id: str) -> str | None:  # noqa: ARG002 - no log is kept in memory
        """Return None: it is to be read."""
        return None

    def release(self, execution_id: str) -> None:
        """Stop reading, and write no end."""
        self._log(execution_id).release()
        self.forget(execution_id)

    def stream_logs(self, execution_id: str, *, follow: bool = True) -> Iterator[LogChunk]:
        """Return what there is and, with `follow`, what comes."""
        return self._log(execution_id).read(follow=follow)

    def wait_progress(self, execution_id: str, seen: int, timeout: float) -> tuple[int, bool]:
        """Look again soon, within `timeout` seconds."""
        return self._log(execution_id).progress(seen, timeout)

    def get_collection_status(self, execution_id: str) -> CollectionStatus:
        """Return how it stands."""
        return self._log(execution_id).status()

    def forget(self, execution_id: str) -> None:
        """Forget it."""
        self._logs.pop(execution_id, None)

    def close(self) -> None:
        """Stop reading all of them."""
        for log in self._logs.values():
            log.release()

    def _log(self, execution_id: str) -> _FakeLog:
        if execution_id not in self._logs:
            raise LogError(f"no log of execution {execution_id!r} is being collected here")
        return self._logs[execution_id]


@attrs.frozen(kw_only=True)
class _Calls:
    """Whom the log asks and tells."""

    on_limit: Callable[[], None]
    on_failure: Callable[[BotdockError], None]
    on_segment: Callable[[int], None] | None
    reopen: Callable[[LogCursor], LogStream] | None


class _FakeLog:
    def __init__(self, writer: LogWriter, stream: LogStream | None, calls: _Calls) -> None:
        self.directory = writer.directory
        self.ended = threading.Event()
        self._stream = stream
        self._writer = writer
        self._last_output: float | None = None
        self._stored_before_ns = writer.cursor.last_ns if writer.whole().bytes else None
        self._current_since = 0.0
        self._calls = calls
        self._stopping = threading.Event()
        self._drained = False
        self._error = ""
        self._resumed = self._gaps = 0
        self._limited = self._lost_noted = False
        self._summary: LogSummary | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not (self._drained or self._stopping.is_set()):
                self._read_once()
        except LogError as error:
            self._error = error.message
            self._calls.on_failure(error)
        except BotdockError as error:
            self._error = error.message
        finally:
            self.ended.set()

    def _read_once(self) -> None:
        stream = self._stream or self._opened()
        try:
            chunks = stream.read(_READ_TIMEOUT)
        except BotdockError:
            if self._calls.reopen is None:
                raise
            stream.close()
            self._stream = None
            self._resumed += 1
            return
        self._store(stream, chunks)

    def _opened(self) -> LogStream:
        """Open the stream where the log ends, a few times if need be."""
        assert self._calls.reopen is not None, "asked before"
        self._writer.rewind()
        for _ in range(_REOPEN_ATTEMPTS - 1):
            with suppress(BotdockError):
                self._stream = self._calls.reopen(self._writer.cursor)
                break
            self._stopping.wait(_READ_TIMEOUT)
        else:
            self._stream = self._calls.reopen(self._writer.cursor)
        self._lost_noted = False
        self._current_since = time.monotonic()
        return self._stream

    def _store(self, stream: LogStream, chunks: Collection[LogChunk]) -> None:
        if (chunks or stream.ended) and not self._lost_noted:
            self._lost_noted = True
            for gap in stream.lost:
                self._writer.note_gap(gap)
                self._gaps += 1
        for chunk in chunks:
            self._writer.append(chunk)
            self._last_output = time.monotonic()
        if stream.ended:
            self._writer.flush()
            self._drained = True
        if self._writer.over_limit and not self._limited:
            self._limited = True
            self._calls.on_limit()

    def stop(self, *, exit_known: bool) -> LogSummary:
        if self._summary is None:
            self._leave()
            if not (self._drained or self._error):
                self._writer.flush()
            for number in self._writer.seal_closed():
                if self._calls.on_segment:
                    self._calls.on_segment(number)
            self._summary = self._writer.finish(complete=self._drained and exit_known)
            self._writer.close()
        return self._summary

    def release(self) -> None:
        if self._summary is None:
            self._leave()
            self._writer.close()

    def _leave(self) -> None:
        self._stopping.set()
        self._thread.join(_JOIN_TIMEOUT)
        if self._stream:
            self._stream.close()

    def status(self) -> CollectionStatus:
        return CollectionStatus(
            bytes=self._writer.kept().bytes,
            ended=self.ended.is_set(),
            error=self._error,
            resumed=self._resumed,
            gaps=self._gaps,
            last_output=self._last_output,
            stored_before_ns=self._stored_before_ns,
            read_since=self._current_since if self._stream else None,
        )

    def progress(self, seen: int, timeout: float) -> tuple[int, bool]:
        if self._writer.kept().bytes == seen:
            self.ended.wait(min(timeout, _READ_TIMEOUT))
        return self._writer.kept().bytes, self.ended.is_set()

    def read(self, *, follow: bool) -> Iterator[LogChunk]:
        with closing(LogReader(self.directory)) as reader:
            while True:
                ended = self.ended.is_set()
                yield from (entry for entry in reader.read() if isinstance(entry, LogChunk))
                if ended or not follow:
                    return
                self.ended.wait(_READ_TIMEOUT)
