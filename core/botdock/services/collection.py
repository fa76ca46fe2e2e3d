"""The collection of one container's log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import attrs

from botdock._log import logger
from botdock.errors import BotdockError, LogError
from botdock.model.logs import LogCursor, LogSource, LogStream, LogSummary
from botdock.services.lines import LineSplitter
from botdock.services.log_files import LogWriter
from botdock.services.sinks import SinkFanOut

RESUME_ATTEMPTS = 5
RESUME_PAUSE = 0.5
"""Seconds before the second attempt to continue a broken stream; each further one waits twice as long."""


@attrs.frozen(kw_only=True)
class CollectionStatus:
    """How a collection stands.

    Attributes:
        bytes: Bytes stored so far, both streams.
        ended: Whether nothing more will come.
        error: Why it broke, or an empty text.
        resumed: How often a broken stream was continued.
    """

    bytes: int
    ended: bool
    error: str
    resumed: int


class Collection:
    """One log on its way from a stream to its files; pumped by the collector's thread, looked at by any."""

    def __init__(
        self,
        stream: LogStream,
        directory: Path,
        *,
        source: LogSource,
        limit: int,
        on_limit: Callable[[], None],
        on_failure: Callable[[BotdockError], None],
        reopen: Callable[[LogCursor], LogStream] | None,
        sinks: SinkFanOut,
    ) -> None:
        self.directory = directory
        self.source = source
        self.abandoned = False
        self.broken = False
        self._stream = stream
        self._writer = LogWriter(directory, limit=limit)
        self._on_limit = on_limit
        self._on_failure = on_failure
        self._reopen = reopen
        self._sinks = sinks
        self._splitter = LineSplitter()
        self._changed = threading.Condition()
        self._ended = False
        self._drained = False
        self._limited = False
        self._error = ""
        self._resumed = 0
        self._summary: LogSummary | None = None
        self._gone = threading.Event()

    @property
    def can_resume(self) -> bool:
        """Whether a broken stream can be continued."""
        return self._reopen is not None

    def fileno(self) -> int | None:
        """Return what the collector waits on, or None."""
        return self._stream.fileno()

    def pump(self) -> bool:
        """Store what has come; return whether more may come."""
        if self.abandoned:
            return False
        try:
            self._store_available()
        except LogError as error:  # our own disk: reading the stream again would not help
            self._reopen = None
            self._fail(error)
            self._on_failure(error)
            return False
        except BotdockError as error:
            self._fail(error)
            return False
        except Exception as error:  # noqa: BLE001 - a third party's stream must not stop the thread of all
            self._fail(BotdockError(f"log stream failed: {error!r}"))
            return False
        self._drained = self._stream.ended
        return not self._drained

    def _store_available(self) -> None:
        chunks = self._stream.read(0.0)
        for chunk in chunks:
            stored = self._writer.append(chunk)
            if stored and self._sinks:
                self._sinks.offer(self.source, list(self._splitter.feed(attrs.evolve(chunk, data=stored))))
        if self._writer.dropped and not self._limited:
            self._limited = True
            self._on_limit()
        if chunks:
            self._announce()

    def _fail(self, error: BotdockError) -> None:
        self.broken = True
        self._error = error.message
        logger.bind(execution_id=self.source.execution_id, error=error.message).debug("log stream broke")

    def resume(self) -> bool:
        """Open the stream again where it broke; return whether that worked within a few attempts."""
        if self._reopen is None:
            return False
        for attempt in range(RESUME_ATTEMPTS):
            try:
                self._stream = self._reopen(self._writer.cursor)
            except BotdockError as error:
                self._error = error.message
                if self._gone.wait(RESUME_PAUSE * 2**attempt):
                    return False
            else:
                self.broken = False
                self._resumed += 1
                return True
        return False

    def close_stream(self) -> None:
        """Let go of the stream."""
        self._stream.close()

    def abandon(self) -> None:
        """Ask for the end: nothing more is stored."""
        if not self._ended:
            self.abandoned = True
        self._gone.set()

    def end(self) -> None:
        """Say that nothing more will come."""
        if self._sinks:
            self._sinks.offer(self.source, list(self._splitter.finish()))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def finish(self) -> LogSummary:
        """Close the files, and return counts and hashes; may be called again."""
        if self._summary is None:
            complete = self._drained and not self.broken
            self._summary = self._writer.summary(gaps=int(not complete), complete=complete)
            self._writer.close()
            self._stream.close()
        return self._summary

    def progress(self) -> tuple[int, bool]:
        """Return bytes stored so far, and whether nothing more will come."""
        with self._changed:
            return self._writer.bytes, self._ended

    def wait_progress(self, seen: int, timeout: float) -> None:
        """Wait until more than `seen` bytes are stored or the log has ended, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._writer.bytes != seen, timeout)

    def wait_ended(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout)

    def status(self) -> CollectionStatus:
        """Return how it stands."""
        with self._changed:
            return CollectionStatus(
                bytes=self._writer.bytes, ended=self._ended, error=self._error, resumed=self._resumed
            )

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()
