"""The collection of one container's log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from botdock._log import logger
from botdock.errors import BotdockError, LogError
from botdock.model.logs import LogChunk, LogGap, LogSource, LogStream, LogSummary
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogWriter
from botdock.services.logs.batch import condense
from botdock.services.logs.parts import (
    MAX_BACKLOG,
    CollectionStatus,
    Growth,
    LineFeed,
    Losses,
    Upkeep,
    Wishes,
    call_safely,
    close_quietly,
    words_of,
)


class Collection:
    """One log on its way from a stream to its files; pumped by the collector's loop, looked at by any thread.

    What is stored is at any moment a prefix of what the bot wrote, less the gaps that are noted: what is read is
    stored chunk by chunk, and after a break the stream is opened again at what the writer has.

    Args:
        writer: Of the log.
        stream: None when it has to be opened first.
        source: Whose log it is.
        wishes: What is wanted of it.
        sinks: Get what is stored, as lines.
        record: Told of each step: its name, whether it succeeded, bytes.
        segment_bytes: Bytes of a segment.
        largest: Bytes of a chunk as it is stored.
    """

    def __init__(
        self,
        writer: LogWriter,
        stream: LogStream | None,
        *,
        source: LogSource,
        wishes: Wishes,
        sinks: SinkFanOut,
        record: Callable[[str, bool, int], None],
        segment_bytes: int,
        largest: int,
    ) -> None:
        self.directory = writer.directory
        self.writer = writer
        self.source = source
        self.wishes = wishes
        self.log = logger.bind(execution_id=source.execution_id)
        self.upkeep = Upkeep()
        self.growth = Growth(lambda: writer.written, record)
        self.segment_bytes = segment_bytes
        self.rest_until = 0.0
        self.empty_reads = 0
        self.opened = time.monotonic()
        self.delivered = self.skipping = False
        self._record = record
        self._losses = Losses(writer, record, self.log)
        self._largest = largest
        self._lines = LineFeed(sinks, source, writer)
        self._stream = stream
        self._away, self._was_open = stream is None, stream is not None
        self._storing = threading.Lock()
        self._changed = threading.Condition()
        self._abandoned = self._ended = self._drained = self._failed = self._limited = False
        self._error = ""
        self._resumed = self._version = self._activity = 0
        self._summary: LogSummary | None = None

    @property
    def backlogged(self) -> bool:
        """Whether so much waits for the disk that the bot has to wait as well: what it can put there is bounded."""
        return self.writer.segment - self.upkeep.sealed > MAX_BACKLOG

    @property
    def leaving(self) -> bool:
        """Whether nothing more is to be read."""
        return self._abandoned or self._failed

    @property
    def to_be_read(self) -> bool:
        """Whether the loop should read it."""
        with self._changed:
            return not (self._away or self._ended)

    def fileno(self) -> int | None:
        """Return what the loop waits on, or None."""
        return self._stream.fileno() if self._stream else None

    def pump(self) -> int | None:
        """Store what has come; return how many bytes that was, or None when the stream is to be read no more."""
        self.skipping = False
        if (stream := self._stream) is None or self.leaving:
            return None
        if self.backlogged:
            return 0
        try:
            chunks = condense(stream.read(0.0), largest=self._largest)
            ended = stream.ended
            before, self._activity = self._activity, stream.activity
            self.skipping = not chunks and self._activity != before
            lost = tuple(stream.lost) if (chunks or ended) and not self._losses.known else ()
        except BaseException as error:  # noqa: BLE001 - a third party's stream must not stop the thread of all
            self._error = words_of(error)
            self.log.bind(error=self._error).debug("the log stream broke")
            return None
        return self._take(chunks, lost, ended=ended) if chunks or ended else 0

    def _take(self, chunks: Sequence[LogChunk], lost: Sequence[LogGap], *, ended: bool) -> int | None:
        try:
            with self._storing:
                if self.leaving or self._ended:  # said while we read: it is read again by whoever goes on
                    return None
                self._store(chunks, lost, ended=ended)
        except Exception as error:  # noqa: BLE001 - our own disk, or our own defect: reading again would not help
            self.fail(error)
            return None
        self._report_limit()
        with self._changed:
            self._drained = self._drained or ended
            self._version += 1
            self._changed.notify_all()
        return None if ended else sum(len(chunk.data) for chunk in chunks)

    def _store(self, chunks: Sequence[LogChunk], lost: Sequence[LogGap], *, ended: bool) -> None:
        if not self._losses.known and (chunks or ended):
            self._losses.find(lost)
        for chunk in chunks:
            self._losses.note(chunk.stream)
            self._lines.offer(chunk, self.writer.append(chunk))
            self.delivered = True
        if ended:
            self._losses.note_all()
            self._close_up()

    def _close_up(self) -> None:
        """Store what was held back, for nothing more will come, and hand on the unterminated last lines."""
        for chunk in self.writer.flush():
            self._lines.offer(chunk, chunk.data)
        self._lines.finish()

    def _report_limit(self) -> None:
        if self.writer.over_limit and not self._limited:
            self._limited = True
            call_safely(self.log, self.wishes.on_limit)

    def fail(self, error: Exception) -> None:
        """Give up, since what comes can be stored no longer; whoever started it is told once."""
        if not isinstance(error, BotdockError):
            error = LogError(f"the log in {self.directory} cannot be stored: {error!r}")
        with self._changed:
            if self._failed:
                return
            self._failed = True
            self._error = error.message
            self._end_if_away()
        self.log.bind(error=error.message).warning("the log can be stored no longer")
        self._record("store", False, 0)  # noqa: FBT003 - the callback's signature
        call_safely(self.log, self.wishes.on_failure, error)

    def leave(self) -> bool:
        """Say that the loop reads it no longer; return whether it is to be opened again."""
        with self._changed:
            self._away = not (self.leaving or self._drained or self.wishes.reopen is None)
            if not self._away:
                self._ended = True
                self._changed.notify_all()
            return self._away

    def reopen(self) -> bool:
        """Open the stream where the log on disk ends; return whether there is something to read now.

        Waits for the engine, so it is not for the loop. One that was abandoned meanwhile is not read.

        Raises:
            Exception: Whatever the engine has to say.
        """
        self.close_stream()
        with self._storing:
            if self.leaving or self.wishes.reopen is None:
                return False
            self.writer.rewind()
            cursor = self.writer.cursor
        stream = self.wishes.reopen(cursor)
        with self._changed:
            if not self.leaving:
                self._stream = stream
                self._away = self.delivered = False
                self._losses.begin()
                self._resumed += self._was_open
                self._was_open = True
                self._error = ""
                self.opened = time.monotonic()
                return True
        close_quietly(stream)
        return False

    def give_up(self, error: BaseException) -> None:
        """Say that the stream cannot be opened again; what is stored stays, and the engine may have more."""
        with self._changed:
            self._error = words_of(error)
            self._away = False
            self._ended = True
            self._changed.notify_all()

    def close_stream(self) -> None:
        """Let go of the stream."""
        with self._changed:
            stream, self._stream = self._stream, None
        if stream:
            close_quietly(stream)

    def abandon(self) -> None:
        """Ask for the end: nothing more is stored."""
        with self._changed:
            self._abandoned = True
            self._end_if_away()

    def _end_if_away(self) -> None:
        if self._away:  # the engine may take its time to answer; nobody waits for it
            self._ended = True
            self._changed.notify_all()

    def finish(self, *, exit_known: bool) -> LogSummary:
        """End the log on disk, and return counts and hashes; may be called again."""
        self.close_stream()
        with self._storing, self.upkeep.lock:
            if self._summary is None:
                self._summary = self._finished(exit_known=exit_known)
                self.writer.close()
        return self._summary

    def _finished(self, *, exit_known: bool) -> LogSummary:
        try:
            if not (self._drained or self._failed):  # after a failure, what is held back has lost what is before it
                self._close_up()
            return self.writer.finish(complete=self._drained and exit_known and not self._failed)
        except LogError as error:
            self.fail(error)
            with suppress(LogError):
                return self.writer.summary(complete=False)
            return LogSummary()

    def release(self) -> None:
        """Let go of the files, safely stored but without an end, so that somebody else can go on."""
        self.close_stream()
        with self._storing, self.upkeep.lock:
            self.upkeep.released = True
            if self._summary is None:
                try:
                    self.writer.sync()
                except LogError as error:
                    self.fail(error)
                self.writer.close()

    def activity(self) -> tuple[int, int] | None:
        """Return what changes while something comes; None while its stream is being opened, which has its own bound."""
        with self._changed:
            stream = self._stream
            return None if self._away else (self._version, stream.activity if stream else 0)

    def progress(self) -> tuple[int, bool]:
        """Return a number that another one follows when something is stored, and whether nothing more will come."""
        with self._changed:
            return self._version, self._ended

    def wait_progress(self, seen: int, timeout: float) -> None:
        """Wait until the number is no longer `seen` or the log has ended, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._version != seen, timeout)

    def wait_ended(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout)

    def status(self) -> CollectionStatus:
        """Return how it stands."""
        with self._changed:
            return CollectionStatus(
                bytes=self.writer.stored,
                ended=self._ended,
                error=self._error,
                resumed=self._resumed,
                gaps=self._losses.count + int(self._limited),
            )
