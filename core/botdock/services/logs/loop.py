"""The one thread that reads every stream."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from botdock._log import logger
from botdock.services.logs.collection import Collection

REST = 0.005
"""Seconds that a stream rests which brought little: what a bot writes in single bytes is gathered meanwhile."""
MUCH = 64 * 1024
"""Bytes of one read after which a stream is read again at once, when it is its turn."""
POLL_INTERVAL = 0.02
"""Seconds between looks at streams that have no descriptor to wait on."""
LAZY_INTERVAL = 0.1
"""The same for those that had nothing for a while."""
MAX_EMPTY_READS = 16
"""Reads one after the other for which a descriptor promised something and there was nothing; then it is not trusted."""
MAX_OPEN = 64
"""Logs whose files are open; those of the others are closed until something comes."""


class OpenFiles:
    """Which logs have their files open: the ones that were written to last."""

    def __init__(self) -> None:
        self._open: OrderedDict[Collection, None] = OrderedDict()

    def touch(self, collection: Collection) -> None:
        """Note that the files of a log have been opened, if they were not."""
        self._open[collection] = None
        self._open.move_to_end(collection)

    def forget(self, collection: Collection) -> None:
        """Note that nothing more is written to a log."""
        self._open.pop(collection, None)

    def trim(self) -> None:
        """Close the files of those that were not written to for the longest time."""
        while len(self._open) > MAX_OPEN:
            collection, _ = self._open.popitem(last=False)
            collection.writer.release()


class LogLoop:
    """Waits for all streams at once, and reads one piece of each that has something, in turn.

    A stream that brought little rests for `REST` seconds; so its reads, and the records that they make, are at most
    200 in a second. Streams that have a descriptor and nothing to read cost nothing.

    Args:
        on_stored: Called after something of a collection was stored.
        on_left: Called with a collection that is read no more: its stream ended or broke, or it was abandoned.
    """

    def __init__(self, *, on_stored: Callable[[Collection], None], on_left: Callable[[Collection], None]) -> None:
        self.files = OpenFiles()
        self._on_stored = on_stored
        self._on_left = on_left
        self._lock = threading.Lock()
        self._inbox: list[Collection] = []
        self._selector = selectors.DefaultSelector()
        self._registered: dict[Collection, int] = {}
        self._polled: dict[Collection, None] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._wake_only = select.poll()
        self._wake_only.register(self._wake_read, select.POLLIN)
        self._closing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def admit(self, collection: Collection) -> None:
        """Read the stream of a collection from now on."""
        with self._lock:
            self._inbox.append(collection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="botdock-logs", daemon=True)
                self._thread.start()
        self.wake()

    def look_at(self, collection: Collection) -> None:
        """Look whether a collection is to be left."""
        with self._lock:
            self._inbox.append(collection)
        self.wake()

    def wake(self) -> None:
        """Let the loop look around."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(BlockingIOError):  # the pipe is full: the loop is about to wake anyway
                    os.write(self._wake_write, b"\0")

    def close(self, timeout: float) -> None:
        """End the thread, waiting for it at most `timeout` seconds."""
        self._closing = True
        self.wake()
        if self._thread:
            self._thread.join(timeout)
            if self._thread.is_alive():  # a third party's stream does not return: what it uses stays open
                return
        with self._lock:
            self._closed = True
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except BaseException as error:  # noqa: BLE001 - a defect must not end the collection of all logs
                logger.bind(error=repr(error)).error("a turn of the log collection failed")
                self._wake_only.poll(POLL_INTERVAL * 1000)

    def _turn(self) -> None:
        """Read once from each stream that has something and does not rest."""
        ready = [key.data for key, _ in self._selector.select(self._time_to_poll())]
        now = time.monotonic()
        due = [collection for collection in ready if collection and collection.rest_until <= now]
        due += [collection for collection in self._polled if collection.rest_until <= now]
        if None in ready:
            self._open_mail()
        elif not due:
            self._wake_only.poll(self._longest_rest(ready, now) * 1000)
        for collection in due:
            if self._is_served(collection):  # not left while the mail was opened
                self._serve(collection, now)

    @staticmethod
    def _longest_rest(ready: list[Collection], now: float) -> float:
        """Return until when all that have something rest; those that get something meanwhile wait as long."""
        return min(max((collection.rest_until - now for collection in ready), default=0.0), REST)

    def _time_to_poll(self) -> float | None:
        if not self._polled:
            return None
        return max(min(collection.rest_until for collection in self._polled) - time.monotonic(), 0.0)

    def _open_mail(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass
        with self._lock:
            inbox, self._inbox = self._inbox, []
        for collection in inbox:
            if self._is_new(collection):
                self._admit(collection)
            if self._is_served(collection):
                self._serve(collection, time.monotonic())  # what came before it was registered
        self.files.trim()

    def _is_served(self, collection: Collection) -> bool:
        return collection in self._registered or collection in self._polled

    def _is_new(self, collection: Collection) -> bool:
        return collection.to_be_read and not self._is_served(collection)

    def _admit(self, collection: Collection) -> None:
        collection.rest_until = 0.0
        collection.empty_reads = 0
        try:
            descriptor = collection.fileno()
            if descriptor is not None:
                self._register(descriptor, collection)
                return
        except Exception as error:  # noqa: BLE001 - a third party's stream; it may still be read
            collection.log.bind(error=repr(error)).debug("the log stream has no descriptor to wait on")
        self._polled[collection] = None

    def _register(self, descriptor: int, collection: Collection) -> None:
        """Wait on a descriptor; one that is taken was closed behind our back, so its owner is polled from now on."""
        if owner := self._owner(descriptor):
            self._distrust(owner)
        self._selector.register(descriptor, selectors.EVENT_READ, collection)
        self._registered[collection] = descriptor

    def _owner(self, descriptor: int) -> Collection | None:
        key = self._selector.get_map().get(descriptor)
        return key.data if key else None

    def _distrust(self, collection: Collection) -> None:
        """Poll a stream whose descriptor does not say when there is something."""
        self._unregister(collection)
        self._polled[collection] = None

    def _serve(self, collection: Collection, now: float) -> None:
        size = collection.pump()
        if size is None:
            self._dismiss(collection)
            self._on_left(collection)
            return
        if size:
            collection.empty_reads = 0
            self.files.touch(collection)
            self.files.trim()
            self._on_stored(collection)
        elif collection.skipping:  # it works its way through what is stored: it is read on when it is its turn
            collection.empty_reads = 0
            return
        if size < MUCH:
            collection.rest_until = now + self._pause(collection)
        if not size:
            collection.empty_reads += 1
            if self._is_to_be_distrusted(collection):
                self._distrust(collection)

    def _pause(self, collection: Collection) -> float:
        if collection in self._registered:
            return REST
        return POLL_INTERVAL if collection.empty_reads < MAX_EMPTY_READS else LAZY_INTERVAL

    def _is_to_be_distrusted(self, collection: Collection) -> bool:
        is_lying = collection.empty_reads >= MAX_EMPTY_READS and not collection.backlogged
        return is_lying and collection in self._registered

    def _dismiss(self, collection: Collection) -> None:
        self._unregister(collection)
        self._polled.pop(collection, None)
        self.files.forget(collection)

    def _unregister(self, collection: Collection) -> None:
        descriptor = self._registered.pop(collection, None)
        if descriptor is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(descriptor)
