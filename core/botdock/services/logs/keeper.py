"""Keeps what is stored: safe from a power cut, sealed, handed to a storage, compressed, and within its bounds."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial

from botdock._log import about
from botdock.config.sections import LoggingConfig
from botdock.errors import LogError
from botdock.services.log_store.layout import STREAMS, data_name, seal_name
from botdock.services.log_store.retention import compress_segment
from botdock.services.logs.collection import Collection
from botdock.services.logs.crew import Crew

STORE_THREADS = 4
"""How many segments are handed on at once: a storage may be slow, and does not delay that of others then."""
LOWEST_PRIORITY = 19


class Keeper:
    """Does for all collections what waits for the disk or for a storage, in seven threads at most.

    A segment to which nothing is added any more is sealed, `on_segment` is told, and then it may be compressed. One
    execution's segments go on in order, one at a time, and up to `STORE_THREADS` executions' at once. Retention waits
    neither for `on_segment` nor for compression: the disk has its bound, and a segment that was not handed on in time
    is counted as one that could not be stored.

    Args:
        config: How often to sync, and whether to compress.
        record: Told of each `store_segment`, `compress_segment` and `remove_segment`, and, once in an interval and
            collection, of what was stored.
    """

    def __init__(self, config: LoggingConfig, *, record: Callable[[str, bool, int], None]) -> None:
        self._config = config
        self._record = record
        self._syncing = Crew("botdock-log-sync", 1)
        self._upkeep = Crew("botdock-log-upkeep", 1)
        self._storing = Crew("botdock-log-store", STORE_THREADS)
        self._compressing = Crew("botdock-log-compress", 1, prepare=_give_way)

    def take_over(self, collection: Collection) -> None:
        """Find out how the segments stand that somebody else left; what may not have been handed on is due again."""
        upkeep, directory = collection.upkeep, collection.directory
        upkeep.first = upkeep.sealed = collection.writer.summary(complete=False).removed_segments
        while (directory / seal_name(upkeep.sealed)).exists():
            if any((directory / data_name(stream, upkeep.sealed)).exists() for stream in STREAMS):
                upkeep.unstored.append(upkeep.sealed)
            upkeep.sealed += 1
        if upkeep.unstored or collection.writer.segment > upkeep.sealed:
            self.tidy_soon(collection)

    def stored(self, collection: Collection) -> None:
        """Note that something was stored: it is synced within the interval, and segments that closed are kept up."""
        upkeep = collection.upkeep
        if not upkeep.dirty:
            upkeep.dirty = True
            self._syncing.submit(partial(self._sync, collection), delay=self._config.sync_interval)
        if collection.writer.segment > upkeep.sealed and not upkeep.asked:
            self.tidy_soon(collection)

    def tidy_soon(self, collection: Collection) -> None:
        """Seal what is closed, and remove what is too much, in a thread of the housekeeping."""
        collection.upkeep.asked = True
        self._upkeep.submit(partial(self.tidy, collection))

    def tidy(self, collection: Collection) -> None:
        """Seal what is closed, and remove what is too much."""
        upkeep = collection.upkeep
        with upkeep.lock:
            upkeep.asked = False
            if upkeep.released:
                return
            try:
                closed = collection.writer.seal_closed()
                upkeep.sealed = max([upkeep.sealed, *(number + 1 for number in closed)])
                upkeep.unstored.extend(closed)
                self._retain(collection)
            except LogError as error:
                collection.fail(error)
        self._hand_on(collection)

    def settle(self, collection: Collection, timeout: float) -> None:
        """Seal what is closed, and wait until it is handed on, at most `timeout` seconds; the rest never will be."""
        self.tidy(collection)
        upkeep = collection.upkeep
        with upkeep.changed:
            upkeep.changed.wait_for(lambda: not (upkeep.unstored or upkeep.storing), timeout)
            for _ in upkeep.unstored:
                self._record("store_segment", False, 0)  # noqa: FBT003 - the callback's signature
            upkeep.unstored.clear()

    def let_go(self, collection: Collection, timeout: float) -> None:
        """Begin nothing more with the segments of a released log; wait `timeout` seconds for what is under way."""
        upkeep = collection.upkeep
        with upkeep.changed:
            upkeep.unstored.clear()
            upkeep.changed.wait_for(lambda: not (upkeep.storing or upkeep.compressing), timeout)

    def close(self, timeout: float) -> None:
        """Begin nothing more, and wait for what is under way, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for crew in (self._syncing, self._upkeep, self._storing, self._compressing):
            crew.close(max(deadline - time.monotonic(), 0.0))

    def _sync(self, collection: Collection) -> None:
        collection.upkeep.dirty = False  # what is stored from now on asks for the next one
        try:
            collection.writer.sync()
        except LogError as error:
            collection.fail(error)
        collection.growth.count()

    def _retain(self, collection: Collection) -> None:
        """Remove the oldest segments until what is kept, and what the newest may still become, fits."""
        retain, upkeep = collection.wishes.retain, collection.upkeep
        if retain is None:
            return
        room = retain - collection.segment_bytes
        while collection.writer.charged > room:
            if not collection.writer.remove_oldest():
                return
            self._record("remove_segment", True, 0)  # noqa: FBT003 - the callback's signature
            upkeep.first += 1

    def _hand_on(self, collection: Collection) -> None:
        upkeep = collection.upkeep
        with upkeep.lock:
            if upkeep.storing or not upkeep.unstored:
                return
            upkeep.storing = True
            number = upkeep.unstored.popleft()
        if collection.wishes.on_segment is None:
            self._handed_on(collection, number)
        else:
            self._storing.submit(partial(self._store, collection, collection.wishes.on_segment, number))

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
        finally:
            self._handed_on(collection, number)

    def _handed_on(self, collection: Collection, number: int) -> None:
        if self._config.compress:
            self._compressing.submit(partial(self._compress, collection, number))
        with collection.upkeep.changed:
            collection.upkeep.storing = False
            collection.upkeep.changed.notify_all()
        self._hand_on(collection)

    def _compress(self, collection: Collection, number: int) -> None:
        upkeep = collection.upkeep
        with upkeep.lock:
            if upkeep.released or number < upkeep.first:
                return
            upkeep.compressing = True
        try:
            compress_segment(collection.directory, number)
        except OSError as error:
            collection.log.bind(segment=number, error=str(error)).warning("a segment of the log was not compressed")
            self._record("compress_segment", False, 0)  # noqa: FBT003 - the callback's signature
        else:
            self._record("compress_segment", True, 0)  # noqa: FBT003 - the same
        finally:
            with upkeep.changed:
                upkeep.compressing = False
                upkeep.changed.notify_all()


def _check_is_kept(collection: Collection, number: int) -> None:
    if number < collection.upkeep.first:
        raise LogError(f"segment {number} was removed before it was handed on")


def _give_way() -> None:
    """Let this thread, and no other, run only where nobody else wants to."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
