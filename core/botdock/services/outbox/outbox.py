"""Objects on their way to a storage that may be away: kept on this disk until the storage has them.

What is to be stored is first written here, and delivered from here, by a thread of its own. So no caller waits for a
storage, and nothing is lost with the process: the next one finds what this one leaves. Each message is one object under
one key, so that a message that is delivered twice, because its process died in between, is stored once all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from botdock._log import logger
from botdock.config.sections import OutboxConfig
from botdock.errors import StorageError
from botdock.model import ByteReader, OutboxStatus, Receipt
from botdock.services._metering import Operation, Report
from botdock.services.outbox.delivery import Delivery, Put
from botdock.services.outbox.queue import Message, MessageQueue, read_status

POLL = 0.2
"""Seconds until a process that waits looks again whether another one still delivers."""
LOOK_AGAIN = 30.0
"""Seconds until an idle process looks whether another one died and left something."""
AWAY_TIMEOUT = 2.0
"""Seconds that are waited at most for a storage that did not answer the last time."""
ABORT_TIMEOUT = 1.0
"""Seconds that a delivery which was told to end may take for it; the process does not wait longer."""


def outbox_folder(home: Path, storage: str) -> Path:
    """Return the folder in which waits what is for a storage: nothing is ever delivered to another one."""
    return home / "outbox" / quote(storage, safe="")


class Outbox:
    """Takes objects in at once, and delivers them as soon as the storage takes them. Safe to use from several threads.

    Args:
        folder: Where they wait; processes may share it, and one of them delivers at a time.
        config: How much may wait, and how long is waited.
        put: Hands a message to the storage.
        on_operation: Told of each `enqueue`, `deliver` and `drop`: seconds, bytes, success.
    """

    def __init__(self, folder: Path, config: OutboxConfig, put: Put, *, on_operation: Report | None = None) -> None:
        self._config = config
        self._put = put
        self._report: Report = on_operation or (lambda *_: None)
        self._queue = MessageQueue(folder, max_bytes=config.max_bytes, max_items=config.max_items)
        self._delivery = Delivery(
            self._queue, self._hand_over, longest_pause=config.retry_interval, ending=lambda: self._ending
        )
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._woken = False
        self._idle = True
        self._swept = False
        self._ending = False
        self._aborting = False
        self._moved: float | None = None

    def add(self, message: Message, source: ByteReader | Path | bytes) -> Receipt:
        """Take an object in; from the return on it is delivered sooner or later, also after the end of this process.

        Raises:
            StorageError: It cannot be kept: the disk is full or broken, or more than the bound waits already.
        """
        with Operation("enqueue", self._report) as operation:
            try:
                operation.size, dropped = self._queue.add(message, source)
            except OSError as error:
                raise StorageError(
                    f"cannot keep {message.key!r} for the storage: {error.strerror or error}",
                    key=message.key,
                    hint="Free some space, or move the state folder with BOTDOCK_HOME.",
                ) from error
        for lost in dropped:
            logger.bind(key=lost.key, size=lost.size).error("too much waits for the storage: dropped")
            self._report("drop", 0.0, lost.size, True)  # noqa: FBT003 - the callback's signature
        self.resume()
        return Receipt(area=message.area, key=message.key, size=operation.size)

    def resume(self) -> None:
        """Deliver what waits, what an earlier process left here included, without waiting for it."""
        with self._changed:
            if self._ending:
                return
            self._woken, self._idle = True, False
            self._changed.notify_all()
            if self._thread is None:
                thread = threading.Thread(target=self._loop, name="botdock-outbox", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: it stays for the next call, or the next process
                    logger.bind(error=str(error)).warning("nothing is delivered to the storage for now")
                    self._idle = True
                else:
                    self._thread = thread

    def drain(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until all is delivered or cannot be for now; say whether all is."""
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._queue.away():  # so it will hardly come back just now; unless it does
                self._changed.wait_for(lambda: self._idle, min(timeout, AWAY_TIMEOUT))
            if not self._queue.away():
                self._changed.wait_for(lambda: self._idle, max(deadline - time.monotonic(), 0.0))
        return not self._queue.waiting()

    def status(self) -> OutboxStatus:
        """Return what waits, what failed and what was dropped."""
        return read_status(self._queue.folder)

    def close(self) -> None:
        """Deliver what can be delivered soon, and leave the rest to the next process; may be called twice.

        It takes `drain_timeout` at most; an object that is on its way then may finish as long as it moves.
        """
        self.drain(0.0 if self._ending else self._config.drain_timeout)
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            while self._is_moving() and not self._queue.away():
                self._changed.wait(POLL)
            self._aborting = True
        if self._thread is not None:
            self._thread.join(ABORT_TIMEOUT)
            if self._thread.is_alive():
                self._note_silence()

    def _note_silence(self) -> None:
        """Let the next process know that it need not wait as long."""
        with suppress(OSError):
            if not self._queue.away():
                self._queue.note_error(f"the storage did not answer within {self._config.drain_timeout:g} seconds")

    def _is_moving(self) -> bool:
        moved = self._moved
        return moved is not None and time.monotonic() - moved < self._config.drain_timeout

    def _hand_over(self, message: Message, source: ByteReader) -> None:
        with Operation("deliver", self._report) as operation:
            try:
                self._put(message, _Source(source, message.size, self._note_move))
            finally:
                self._moved = None
            operation.size = message.size

    def _note_move(self) -> None:
        """Note that bytes move; end the delivery here if it is to end."""
        if self._aborting:
            raise StorageError("the delivery was ended; the next process continues it")
        self._moved = time.monotonic()

    def _loop(self) -> None:
        while not self._ending:
            pause, idle = self._deliver()
            with self._changed:
                if not self._woken:
                    self._idle = idle
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._woken or self._ending, pause)
                self._woken = False
        with self._changed:
            self._changed.notify_all()

    def _deliver(self) -> tuple[float, bool]:
        """Deliver what is due; return the seconds until the next look, and whether nothing more can be done for now."""
        try:
            if not self._queue.exists():
                return LOOK_AGAIN, True
            with self._queue.delivering() as ours:
                if not ours:
                    return POLL, bool(self._queue.away()) or not self._queue.waiting()
                if not self._swept:
                    self._queue.sweep()
                    self._swept = True
                pause = self._delivery.run()
            return (LOOK_AGAIN if pause is None else min(pause, LOOK_AGAIN)), True
        except Exception as error:  # noqa: BLE001 - what is wrong with the disk may be mended while we live
            logger.bind(error=repr(error)).warning("the outbox could not be read")
            return self._config.retry_interval, True


class _Source:
    """The bytes of a message: as many as there were when it came, though its file may grow."""

    def __init__(self, file: ByteReader, size: int, on_read: Callable[[], None]) -> None:
        self._file = file
        self._left = size
        self._on_read = on_read

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        self._on_read()
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data
