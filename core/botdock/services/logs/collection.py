"""The collection of one container's log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from botdock._log import logger
from botdock.errors import BotdockError, LogError
from botdock.model.logs import LogChunk, LogGap, LogSource, LogStream, LogSummary
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogWriter
from botdock.services.logs.intake import CollectionStatus, Intake, condense
from botdock.services.logs.maintenance import Segments

if TYPE_CHECKING:
    from botdock.services.logs.collector import Options

MAX_BACKLOG = 4
"""Segments that may wait to be sealed and removed before the bot has to wait for the disk."""
ACTIVITY_INTERVAL = 0.5
"""Seconds between two looks at whether something still comes."""
STEADY = 2.0
"""Seconds after which a stream that broke counts as one that had come back, even if it brought nothing."""


class State(Enum):
    """Where a collection stands: its stream is read, or is being opened again, or nothing more will come."""

    READ, AWAY, ENDED = range(3)


class Collection:
    """One log on its way from a stream to its files; pumped by the collector's loop, looked at by any thread.

    What is stored is at any moment a prefix of what the bot wrote, less the gaps that are noted: what is read is
    stored chunk by chunk, and after a break the stream is opened again at what the writer has.

    Attributes:
        attempts: How often the stream was opened since `away_since`, on the monotonic clock.
        empty_reads: Reads without anything, one after the other.
        rest_until: When the loop reads it again, on the monotonic clock.
        hurries: Whether its end is waited for, so that there is no rest after what is read.
        leaving: Whether nothing more is to be read.
        state: Where it stands.
        skipping: Whether the last read brought nothing because the stream goes through what is stored already.
    """

    def __init__(
        self,
        writer: LogWriter,
        stream: LogStream | None,
        *,
        source: LogSource,
        options: Options,
        sinks: SinkFanOut | None,
        record: Callable[[str, bool, int], None],
    ) -> None:
        self.writer, self.directory = writer, writer.directory
        self.source, self.options = source, options
        self.log = logger.bind(execution_id=source.execution_id)
        self.segments = Segments()
        self.intake = Intake(writer, source=source, sinks=sinks, record=record)
        self.rest_until, self.empty_reads = 0.0, 0
        self.away_since, self.attempts = time.monotonic(), 0
        self.skipping = self.hurries = False
        self._record = record
        self._current_since = 0.0
        """Since when nothing that the bot has written is still to come, on the monotonic clock; 0 for ever."""
        self.stream, self._opened, self._delivered = stream, time.monotonic(), False
        self._was_open = stream is not None
        self.state = State.READ if self._was_open else State.AWAY
        self._storing = threading.Lock()
        self._changed = threading.Condition()
        self.leaving = self._drained = self._failed = self._limited = False
        self._error, self._reading = "", False
        self._resumed = self._version = self._activity = 0
        self._summary: LogSummary | None = None

    def pump(self) -> int | None:
        """Store what has come; return how many bytes that was, or None when the stream is to be read no more."""
        self.skipping = False
        if (stream := self.stream) is None or self.leaving:
            return None
        if self.writer.segment.number - self.segments.sealed > MAX_BACKLOG:
            self._current_since = time.monotonic()
            return 0
        self._reading = True
        try:
            chunks = condense(stream.read(0.0), largest=self.options.largest)
            ended = stream.ended
            before, self._activity = self._activity, stream.activity
            lost = stream.lost if (chunks or ended) and self.intake.lost is None else ()
        except BaseException as error:  # noqa: BLE001 - a third party's stream must not stop the thread of all
            self._error = _text_of(error)
            self.log.bind(error=self._error).debug("the log stream broke")
            return None
        finally:
            with self._changed:
                self._reading = False
        if self.stream is not stream:  # it was taken away meanwhile
            return None
        if not (chunks or ended):
            self.skipping = self._activity != before
            if self.skipping:
                self._current_since = time.monotonic()
            return 0
        return self._take(chunks, lost, ended=ended)

    def _take(self, chunks: Sequence[LogChunk], lost: Sequence[LogGap], *, ended: bool) -> int | None:
        try:
            with self._storing:
                if self.leaving or self.state is State.ENDED:  # said meanwhile: the next to read it stores it
                    return None
                if chunks:
                    self._delivered = True
                self.intake.store(chunks, lost, ended=ended)
        except Exception as error:  # noqa: BLE001 - our own disk, or our own defect: reading again would not help
            self.fail(error)
            return None
        if self.writer.over_limit and not self._limited:
            self._limited = True
            self._tell(self.options.on_limit)
        with self._changed:
            self._drained = self._drained or ended
            self._version += 1
            self._changed.notify_all()
        return None if ended else sum(len(chunk.data) for chunk in chunks)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except BaseException as error:  # noqa: BLE001 - what a listener raises, even to exit, must not stop the thread of all
            self.log.bind(error=repr(error)).error("a callback of a log collection failed")

    def fail(self, error: Exception) -> None:
        """Give up, since what comes can be stored no longer; `on_failure` is told once."""
        if not isinstance(error, BotdockError):
            error = LogError(f"the log in {self.directory} cannot be stored: {error!r}")
        with self._changed:
            if self._failed:
                return
            self._failed = self.leaving = True
            self._error = error.message
            self._end_if_away()
        self.log.bind(error=error.message).warning("the log can be stored no longer")
        self._record("store", False, 0)  # noqa: FBT003 - the callback's signature
        self._tell(self.options.on_failure, error)

    def leave(self) -> bool:
        """Say that the loop reads it no longer; return whether it is to be opened again."""
        self.close_stream()  # an engine may hold up the bot, and its end, for a reader that does not read
        with self._changed:
            ends = self.leaving or self._drained or self.options.reopen is None
            self.state = State.ENDED if ends else State.AWAY
            if self._delivered or time.monotonic() - self._opened > STEADY:
                self.away_since, self.attempts = time.monotonic(), 0
            self._changed.notify_all()
            return not ends

    def reopen(self) -> bool:
        """Open the stream where the log on disk ends; return whether there is something to read now.

        Waits for the engine, so it is not for the loop, and raises what that raises. One abandoned meanwhile stays so.
        """
        with self._storing:
            if self.leaving or self.options.reopen is None:
                return False
            self.writer.rewind()
            cursor = self.writer.cursor
        stream = self.options.reopen(cursor)
        with self._changed:
            if self.leaving:
                with suppress(Exception):
                    stream.close()
                return False
            self.stream, self.intake.lost, self._error = stream, None, ""
            self._opened, self.state, self._delivered = time.monotonic(), State.READ, False
            self._current_since = time.monotonic()
            is_resumed, self._was_open = self._was_open, True
            self._resumed += is_resumed
        if is_resumed:
            self._record("resume", True, 0)  # noqa: FBT003 - the callback's signature
        return True

    def give_up(self, error: BaseException) -> None:
        """Say that the stream cannot be opened again; what is stored stays, and the engine may have more."""
        with self._changed:
            self._error = _text_of(error)
            self._end_if_away()
        self._record("resume", False, 0)  # noqa: FBT003 - the callback's signature
        self.log.bind(error=str(error)).warning("the log could not be continued")

    def take_stream_away(self) -> LogStream | None:
        """Give up a stream from which a read does not return, and return it; None where no read is in it."""
        with self._changed:
            if not self._reading:
                return None
            stream, self.stream, self.state = self.stream, None, State.AWAY
        self.give_up(LogError("the log stream did not return from a read that was to take no time"))
        return stream

    def close_stream(self) -> None:
        """Let go of the stream."""
        with self._changed:
            stream, self.stream = self.stream, None
        with suppress(Exception):  # it was to raise nothing
            if stream:
                stream.close()

    def abandon(self) -> None:
        """Ask for the end: nothing more is stored."""
        with self._changed:
            self.leaving = True
            self._end_if_away()

    def _end_if_away(self) -> None:
        if self.state is State.AWAY:  # the engine may take its time to answer; the end does not wait for it
            self.state = State.ENDED
            self._changed.notify_all()

    def finish(self, *, exit_known: bool) -> LogSummary:
        """End the log on disk, and return counts and hashes; may be called again."""
        self.close_stream()
        with self._storing, self.segments.changed:
            if self._summary is None:
                is_complete = self._drained and exit_known and not self._failed
                try:
                    if not (self._drained or self._failed):  # after a failure, what is before the rest is lost
                        self.intake.close_up()
                    self._summary = self.writer.finish(complete=is_complete)
                except LogError as error:
                    self.fail(error)
                    self._summary = LogSummary()
                    with suppress(LogError):
                        self._summary = self.writer.summary(complete=False)
                    self.writer.close()
        self.intake.count_growth()
        return self._summary

    def release(self) -> None:
        """Let go of the files, safely stored but without an end, so that another collector can go on."""
        self.close_stream()
        with self._storing, self.segments.changed:
            self.segments.released = True
            if self._summary is None:
                try:
                    self.writer.sync()
                except LogError as error:
                    self.fail(error)
                self.writer.close()
        self.intake.count_growth()

    def wait_drained(self, timeout: float) -> bool:
        """Wait for the end; return whether it has come within `timeout` seconds in which nothing else came."""
        seen: object = None
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                now = self._version, self.stream.activity if self.stream else 0
                if timeout and (now != seen or self.state is State.AWAY):  # opening it has its own bound
                    seen, deadline = now, time.monotonic() + timeout
                left = deadline - time.monotonic()
                if self.wait_ended(max(min(left, ACTIVITY_INTERVAL), 0.0)):
                    return True
                if left <= 0:
                    return False

    def wait_progress(self, seen: int, timeout: float) -> tuple[int, bool]:
        """Wait until more is stored than at `seen`, or the end; return the new `seen`, and whether it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self.state is State.ENDED or self._version != seen, timeout)
            return self._version, self.state is State.ENDED

    def wait_ended(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self.state is State.ENDED, timeout)

    def status(self) -> CollectionStatus:
        """Return how it stands."""
        with self._changed:
            return CollectionStatus(
                bytes=self.writer.kept().bytes,
                ended=self.state is State.ENDED,
                error=self._error,
                resumed=self._resumed,
                gaps=self.intake.gaps + int(self._limited),
                last_output=self.intake.last_output,
                stored_before_ns=self.intake.stored_before_ns,
                read_since=self._current_since if self.state is State.READ or self._drained else None,
            )


def _text_of(error: BaseException) -> str:
    return error.message if isinstance(error, BotdockError) else f"the log stream failed: {error!r}"
