"""What may wait for a disk, a storage or an engine: keeps what is stored, and opens broken streams again."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from botdock._log import about
from botdock._threads import Pool
from botdock.config.sections import LoggingConfig
from botdock.errors import BotdockError, ContainerNotFoundError, LogError
from botdock.services.log_store.layout import STREAMS, compress_segment, data_name, seal_name

if TYPE_CHECKING:
    from botdock.services.logs.collection import Collection

STORE_THREADS = 4
"""How many segments are handed on at once: a storage may be slow, and does not delay that of others then."""
LOWEST_PRIORITY = 19
REOPENING_THREADS = 4
"""How many streams are opened at once: a restarted daemon breaks all of them together, and each may take seconds."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between attempts: the first that fails is followed at once, then each pause is twice the one before."""
MIN_ATTEMPTS = 3
"""Attempts that are made even if each takes longer than all the time there is."""


@attrs.define(eq=False)
class Segments:
    """How the segments of one log stand.

    Attributes:
        first: Number of the oldest one that is kept.
        sealed: Number of the first one that is not sealed yet.
        unstored: Sealed ones that `on_segment` has not been told of, in order.
        storing: Whether `on_segment` is told of one, or about to be.
        compressing: Whether one is being compressed.
        is_sync_due: Whether something was stored since the last sync began.
        is_tidy_due: Whether closed ones are about to be sealed.
        released: Whether the folder belongs to another collector now.
        changed: Held to seal, remove or finish; notified when one was handed on or compressed.
    """

    first: int = 0
    sealed: int = 0
    unstored: deque[int] = attrs.field(factory=deque)
    storing: bool = False
    compressing: bool = False
    is_sync_due: bool = False
    is_tidy_due: bool = False
    released: bool = False
    changed: threading.Condition = attrs.field(factory=threading.Condition)


class Maintenance:
    """Does for all collections what may wait, in ten threads at most.

    What is stored is made safe from a power cut within the interval.

    A segment to which nothing is added any more is sealed, `on_segment` is told, and then it may be compressed. One
    execution's segments go on in order, one at a time, and up to `STORE_THREADS` executions' at once. Retention waits
    neither for `on_segment` nor for compression: the disk has its bound, and a segment that was not handed on in time
    is counted as one that could not be stored.

    Args:
        config: How often to sync, and whether to compress.
        reconnect_timeout: Seconds that a broken stream has to be readable again.
        record: Told of each `store_segment`, `compress_segment` and `remove_segment`, and, once in an interval and
            collection, of what was stored.
    """

    def __init__(
        self,
        config: LoggingConfig,
        *,
        reconnect_timeout: float,
        record: Callable[[str, bool, int], None],
    ) -> None:
        self._config = config
        self._reconnect_timeout = reconnect_timeout
        self._record = record
        self._reopening = Pool("botdock-log-reopen", REOPENING_THREADS)
        self._disk = Pool("botdock-log-disk", 1)
        self._storing = Pool("botdock-log-store", STORE_THREADS)
        self._compressing = Pool("botdock-log-compress", 1, prepare=_give_way)

    def take_over(self, collection: Collection) -> None:
        """Find out how the segments stand that another collector left; some may have to be handed on again."""
        segments, directory, found = collection.segments, collection.directory, list[int]()
        segments.first = segments.sealed = collection.writer.removed_segments
        while (directory / seal_name(segments.sealed)).exists():
            if any((directory / data_name(stream, segments.sealed)).exists() for stream in STREAMS):
                found.append(segments.sealed)
            segments.sealed += 1
        self._hand_on(collection, found)
        if collection.writer.segment.number > segments.sealed:
            self._disk.submit(partial(self._tidy, collection))

    def stored(self, collection: Collection) -> None:
        """Note that something was stored: it is synced within the interval, and segments that closed are sealed."""
        segments = collection.segments
        if not segments.is_sync_due:
            segments.is_sync_due = True
            self._disk.submit(partial(self._sync, collection), delay=self._config.sync_interval)
        if collection.writer.segment.number > segments.sealed and not segments.is_tidy_due:
            segments.is_tidy_due = True
            self._disk.submit(partial(self._tidy, collection))

    def reopen_soon(self, collection: Collection, on_opened: Callable[[Collection], None]) -> None:
        """Open the stream of a collection where its log ends, patiently: an engine that was away may come back.

        `on_opened` is called when it can be read again. It is given up when it was not to be read for
        `reconnect_timeout` seconds, or its container is gone. One that breaks again at once, without a byte, has not
        come back: pauses go on to grow.
        """
        if self._is_overdue(collection):
            collection.give_up(BotdockError(collection.status().error))
            return
        attempts = collection.attempts
        pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 10), LONGEST_PAUSE) if attempts else 0.0
        self._reopening.submit(partial(self._reopen, collection, on_opened), delay=pause)

    def _reopen(self, collection: Collection, on_opened: Callable[[Collection], None]) -> None:
        collection.attempts += 1
        try:
            with about(collection.source.execution_id):
                opened = collection.reopen()
        except BaseException as error:  # noqa: BLE001 - an engine may raise what it likes; it is asked again
            if self._is_overdue(collection) or isinstance(error, ContainerNotFoundError):
                collection.give_up(error)
            else:
                self.reopen_soon(collection, on_opened)
        else:
            if opened:
                on_opened(collection)

    def _is_overdue(self, collection: Collection) -> bool:
        away = time.monotonic() - collection.away_since
        return away >= self._reconnect_timeout and collection.attempts >= MIN_ATTEMPTS

    def seal_all(self, collection: Collection, timeout: float) -> None:
        """Seal what is closed, and wait until it is handed on, at most `timeout` seconds; the rest never will be."""
        self._tidy(collection)
        segments = collection.segments
        with segments.changed:
            segments.changed.wait_for(lambda: not (segments.unstored or segments.storing), timeout)
            for _ in segments.unstored:
                self._record("store_segment", False, 0)  # noqa: FBT003 - the callback's signature
            segments.unstored.clear()

    def let_go(self, collection: Collection, timeout: float) -> None:
        """Begin nothing more with the segments of a released log; wait `timeout` seconds for what is under way."""
        segments = collection.segments
        with segments.changed:
            segments.unstored.clear()
            segments.changed.wait_for(lambda: not (segments.storing or segments.compressing), timeout)

    def close(self, timeout: float) -> None:
        """Begin nothing more, and wait for what is under way, at most `timeout` seconds."""
        self._reopening.close(0.0)  # an engine that does not answer is not waited for
        deadline = time.monotonic() + timeout
        for pool in (self._disk, self._storing, self._compressing):
            pool.close(max(deadline - time.monotonic(), 0.0))

    def _sync(self, collection: Collection) -> None:
        collection.segments.is_sync_due = False  # what is stored from now on asks for the next one
        try:
            collection.writer.sync()
        except LogError as error:
            collection.fail(error)
        collection.intake.count_growth()

    def _tidy(self, collection: Collection) -> None:
        """Seal what is closed, and remove what is too much."""
        segments = collection.segments
        closed, retain = list[int](), collection.options.retain
        room = None if retain is None else retain - collection.options.segment_bytes  # the newest may become as large
        with segments.changed:
            segments.is_tidy_due = False
            if segments.released:
                return
            try:
                closed = collection.writer.seal_closed()
                segments.sealed = max([segments.sealed, *(number + 1 for number in closed)])
                while (
                    room is not None and collection.writer.kept().charged > room and collection.writer.remove_oldest()
                ):
                    self._record("remove_segment", True, 0)  # noqa: FBT003 - the callback's signature
                    segments.first += 1
            except LogError as error:
                collection.fail(error)
            if closed:  # still locked: what is sealed next knows that they are on their way
                self._hand_on(collection, closed)

    def _hand_on(self, collection: Collection, numbers: Iterable[int]) -> None:
        """Let sealed segments be stored, where they are to be, and then compressed."""
        if collection.options.on_segment is None:
            for number in numbers:
                self._compress_soon(collection, number)
            return
        segments = collection.segments
        with segments.changed:
            segments.unstored.extend(numbers)
            if segments.unstored and not segments.storing:
                segments.storing = True
                self._storing.submit(partial(self._store_next, collection, collection.options.on_segment))

    def _store_next(self, collection: Collection, on_segment: Callable[[int], None]) -> None:
        segments = collection.segments
        with segments.changed:
            number = segments.unstored.popleft() if segments.unstored else None
        if number is not None:
            self._store(collection, on_segment, number)
            self._compress_soon(collection, number)
        with segments.changed:
            segments.storing = bool(segments.unstored)
            segments.changed.notify_all()
            if segments.storing:
                self._storing.submit(partial(self._store_next, collection, on_segment))

    def _store(self, collection: Collection, on_segment: Callable[[int], None], number: int) -> None:
        try:
            _check_is_kept(collection, number)
            with about(collection.source.execution_id):
                on_segment(number)
        except BaseException as error:  # noqa: BLE001 - a storage that fails changes nothing of the collection
            collection.log.bind(segment=number, error=str(error)).warning("a segment of the log was not stored")
            self._record("store_segment", False, 0)  # noqa: FBT003 - the callback's signature
        else:
            self._record("store_segment", True, 0)  # noqa: FBT003 - the same

    def _compress_soon(self, collection: Collection, number: int) -> None:
        if self._config.compress:
            self._compressing.submit(partial(self._compress, collection, number))

    def _compress(self, collection: Collection, number: int) -> None:
        segments = collection.segments
        with segments.changed:
            if segments.released or number < segments.first:
                return
            segments.compressing = True
        try:
            compress_segment(collection.directory, number)
        except OSError as error:
            collection.log.bind(segment=number, error=str(error)).warning("a segment of the log was not compressed")
            self._record("compress_segment", False, 0)  # noqa: FBT003 - the callback's signature
        else:
            self._record("compress_segment", True, 0)  # noqa: FBT003 - the same
        finally:
            with segments.changed:
                segments.compressing = False
                segments.changed.notify_all()


def _give_way() -> None:
    """Let this thread, and no other, run only where no other wants to."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


def _check_is_kept(collection: Collection, number: int) -> None:
    if number < collection.segments.first:
        raise LogError(f"segment {number} was removed before it was handed on")
