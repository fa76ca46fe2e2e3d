"""A few threads for what may wait: the disk, an engine, a storage."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from botdock._log import logger

Job = Callable[[], None]


class Crew:
    """Runs jobs, now or later, in a fixed number of threads, in the order in which they are due.

    Threads are made when there is work, and wait without looking when there is none. They are daemons: a job that
    never returns keeps no process alive.

    Args:
        name: Of the threads.
        size: How many there are at most.
        prepare: Called once in each thread before its first job.
    """

    def __init__(self, name: str, size: int, *, prepare: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._size = size
        self._prepare = prepare
        self._jobs: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closing = False

    def submit(self, job: Job, *, delay: float = 0.0) -> None:
        """Run `job` in `delay` seconds; after `close`, never."""
        with self._changed:
            if self._closing:
                return
            heapq.heappush(self._jobs, (time.monotonic() + delay, next(self._numbers), job))
            if self._idle:
                self._changed.notify()
            elif len(self._threads) < self._size:
                self._start_thread()

    def close(self, timeout: float) -> None:
        """Drop what is not begun, and wait for what is, at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._jobs.clear()
            self._changed.notify_all()
            threads = list(self._threads)
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0.0))

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        self._prepare()
        while (job := self._next()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - one job, a third party's among them, must not end the thread of all
                logger.bind(error=repr(error)).error("work on a log failed")

    def _next(self) -> Job | None:
        """Wait for the next job that is due; None when there will be none."""
        with self._changed:
            while not self._closing:
                wait = self._jobs[0][0] - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._idle += 1
                self._changed.wait(wait)
                self._idle -= 1
            return None
