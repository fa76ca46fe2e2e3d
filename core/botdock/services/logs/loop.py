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
from botdock._threads import Pool
from botdock.services.logs.collection import Collection, State

REST = 0.005
"""Seconds that a stream rests which brought little: what a bot writes in single bytes is gathered meanwhile."""
MUCH = 64 * 1024
"""Bytes of one read after which a stream is read again at once, when it is its turn."""
POLL_INTERVAL = 0.02
"""Seconds between looks at streams that have no descriptor to wait on."""
LAZY_INTERVAL = 0.1
"""The same for those that had nothing for a while."""
MAX_EMPTY_READS = 16
"""Reads without anything, one after the other, until then."""
LONGEST_READ = 10.0
"""Seconds after which a read that was to take no time is given up, with the thread that waits for it."""
MAX_OPEN = 64
"""Logs whose files are open; those of the others are closed until something comes."""


class _ReplacedError(Exception):
    """Another thread reads by now."""


class LogLoop:
    """Waits for all streams at once, and reads one piece of each that has something, in turn.

    A stream that brought little rests for `REST` seconds; so its reads, and the records that they make, are at most
    200 in a second, until its end is waited for. Streams that have a descriptor and nothing to read cost nothing. A
    stream that does not return from a read is given up: another thread goes on with the others.

    Args:
        on_stored: Called after something of a collection was stored.
        on_left: Called with a collection that is read no more: its stream ended or broke, or it was abandoned.
    """

    def __init__(self, *, on_stored: Callable[[Collection], None], on_left: Callable[[Collection], None]) -> None:
        self._written: OrderedDict[Collection, None] = OrderedDict()  # whose files are open, the last one last
        self._on_stored = on_stored
        self._on_left = on_left
        self._lock = threading.Lock()
        self._inbox: list[Collection] = []
        self._selector = selectors.DefaultSelector()
        self._served: dict[Collection, int | None] = {}
        """What is read, by the descriptor to wait on; those that have none are polled."""
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
        self._watch = Pool("botdock-log-watch", 2)
        self._watching = False
        self._read: tuple[Collection, float] | None = None
        """What is read now, and since when."""

    def look_at(self, collection: Collection) -> None:
        """Begin to read a collection, or leave it, as it is to be."""
        with self._lock:
            self._inbox.append(collection)
            if self._thread is None:
                self._start_thread()
            if not self._watching:
                self._watching = True
                self._watch.submit(self._look_for_stuck, delay=LONGEST_READ)
            if not self._closed:
                with contextlib.suppress(BlockingIOError):  # the pipe is full: the loop is about to wake anyway
                    os.write(self._wake_write, b"\0")

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name="botdock-logs", daemon=True)
        self._thread.start()

    def _look_for_stuck(self) -> None:
        """Replace the thread where a read does not return; look again as long as there is something to read."""
        with self._lock:
            read = self._read
            if read is not None and time.monotonic() - read[1] > LONGEST_READ and (stuck := read[0].take_stream_away()):
                read[0].log.warning("the log stream does not return; its log is collected no more")
                self._watch.submit(stuck.close)
                self._dismiss(read[0])
                self._start_thread()
            self._watching = bool(self._inbox or self._served)
            if self._watching:
                self._watch.submit(self._look_for_stuck, delay=LONGEST_READ / 2)

    def close(self, timeout: float) -> None:
        """End the thread, waiting for it at most `timeout` seconds."""
        self._closing = True
        self._watch.close(timeout)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
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
            except _ReplacedError:
                return
            except BaseException as error:  # noqa: BLE001 - a defect must not end the collection of all logs
                logger.bind(error=repr(error)).error("a turn of the log collection failed")
                self._wake_only.poll(POLL_INTERVAL * 1000)

    def _turn(self) -> None:
        """Read once from each stream that has something and does not rest."""
        polled_at = min((collection.rest_until for collection in self._polled), default=None)
        wait = None if polled_at is None else max(polled_at - time.monotonic(), 0.0)
        ready = [key.data for key, _ in self._selector.select(wait)]
        now = time.monotonic()
        due = [collection for collection in ready if collection and collection.rest_until <= now]
        due += [collection for collection in self._polled if collection.rest_until <= now]
        if None in ready:
            self._open_mail()
        elif not due:  # all that have something rest; those that get something meanwhile wait as long
            longest = max((collection.rest_until - now for collection in ready), default=0.0)
            self._wake_only.poll(min(longest, REST) * 1000)
        for collection in due:
            if collection in self._served:  # not left while the mail was opened
                self._serve(collection, now)

    def _open_mail(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass
        with self._lock:
            inbox, self._inbox = self._inbox, []
        for collection in inbox:
            if collection.state is State.READ and collection not in self._served:
                self._admit(collection)
            if collection in self._served:
                self._serve(collection, time.monotonic())  # what came before it was registered

    def _admit(self, collection: Collection) -> None:
        collection.rest_until = 0.0
        collection.empty_reads = 0
        try:
            stream = collection.stream
            descriptor = stream.fileno() if stream else None
            if descriptor is not None:
                self._selector.register(descriptor, selectors.EVENT_READ, collection)
                self._served[collection] = descriptor
                return
        except Exception as error:  # noqa: BLE001 - a third party's stream; it may still be read
            collection.log.bind(error=repr(error)).debug("the log stream has no descriptor to wait on")
        self._served[collection] = self._polled[collection] = None

    def _serve(self, collection: Collection, now: float) -> None:
        self._read = collection, now
        size = collection.pump()
        with self._lock:
            if self._thread is not threading.current_thread():
                raise _ReplacedError
            self._read = None
        if size is None:
            self._dismiss(collection)
            self._on_left(collection)
            return
        if size:
            self._note_stored(collection)
        elif collection.skipping:  # it works its way through what is stored: it is read on when it is its turn
            collection.empty_reads = 0
            return
        else:
            collection.empty_reads += 1
        if collection not in self._polled and not size and collection.empty_reads == 1:
            return  # a first look before anything came: the first line is not kept waiting for that
        if size and collection.hurries:
            collection.rest_until = now
        elif size < MUCH:
            pause = POLL_INTERVAL if collection.empty_reads < MAX_EMPTY_READS else LAZY_INTERVAL
            collection.rest_until = now + (pause if collection in self._polled else REST)

    def _note_stored(self, collection: Collection) -> None:
        collection.empty_reads = 0
        self._written[collection] = None
        self._written.move_to_end(collection)
        if len(self._written) > MAX_OPEN:
            self._written.popitem(last=False)[0].writer.close()
        self._on_stored(collection)

    def _dismiss(self, collection: Collection) -> None:
        self._polled.pop(collection, None)
        self._written.pop(collection, None)
        descriptor = self._served.pop(collection, None)
        if descriptor is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(descriptor)
