"""A log collector without selectors, sinks or resumption, for testing what stands above it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from botdock.errors import BotdockError, LogError
from botdock.model import LogChunk, LogCursor, LogSource, LogStream, LogSummary
from botdock.services.log_files import LogReader, LogWriter, read_tail

_JOIN_TIMEOUT = 10.0


class FakeLogs:
    """A log collector with a thread for each log."""

    def __init__(self) -> None:
        self._logs: dict[str, _FakeLog] = {}

    def start_collection(
        self,
        stream: LogStream,
        directory: Path,
        *,
        source: LogSource,
        limit: int,
        on_limit: Callable[[], None] = lambda: None,
        on_failure: Callable[[BotdockError], None] = lambda _error: None,  # noqa: ARG002 - nothing of it fails
        reopen: Callable[[LogCursor], LogStream] | None = None,  # noqa: ARG002 - a broken stream stays broken
    ) -> None:
        """Read the stream in a thread."""
        self._logs[source.execution_id] = _FakeLog(stream, directory, limit, on_limit)

    def wait_drained(self, execution_id: str, timeout: float) -> bool:
        """Wait for the thread."""
        return self._log(execution_id).ended.wait(timeout)

    def stop_collection(self, execution_id: str) -> LogSummary:
        """Stop reading."""
        return self._log(execution_id).stop()

    def collect_logs(self, execution_id: str, size: int | None = None) -> str:
        """Return the end of it."""
        return read_tail(self._log(execution_id).directory, size or 65536).decode("utf-8", "replace")

    def stream_logs(self, execution_id: str, *, follow: bool = True) -> Iterator[LogChunk]:
        """Return what there is and, with `follow`, what comes."""
        return self._log(execution_id).read(follow=follow)

    def forget(self, execution_id: str) -> None:
        """Forget it."""
        self._logs.pop(execution_id, None)

    def close(self) -> None:
        """Stop reading all of them."""
        for log in self._logs.values():
            log.stop()

    def _log(self, execution_id: str) -> _FakeLog:
        if execution_id not in self._logs:
            raise LogError(f"no log of execution {execution_id!r} is being collected here")
        return self._logs[execution_id]


class _FakeLog:
    def __init__(self, stream: LogStream, directory: Path, limit: int, on_limit: Callable[[], None]) -> None:
        self.directory = directory
        self.ended = threading.Event()
        self._stream = stream
        self._writer = LogWriter(directory, limit=limit)
        self._on_limit = on_limit
        self._stopping = False
        self._summary: LogSummary | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not (self._stream.ended or self._stopping):
                for chunk in self._stream.read(0.01):
                    full = self._writer.dropped
                    self._writer.append(chunk)
                    if self._writer.dropped and not full:
                        self._on_limit()
        except BotdockError:
            self._stopping = True
        finally:
            self.ended.set()

    def stop(self) -> LogSummary:
        if self._summary is None:
            complete = self.ended.is_set() and not self._stopping
            self._stopping = True
            self._thread.join(_JOIN_TIMEOUT)
            self._summary = self._writer.summary(gaps=int(not complete), complete=complete)
            self._writer.close()
            self._stream.close()
        return self._summary

    def read(self, *, follow: bool) -> Iterator[LogChunk]:
        with LogReader(self.directory) as reader:
            while True:
                ended = self.ended.is_set()
                yield from reader.read()
                if ended or not follow:
                    return
                time.sleep(0.01)
