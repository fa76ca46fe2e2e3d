"""Few threads for much work: pools of daemons that are made for jobs, now or later, and end soon without any."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from botdock._log import logger

T = TypeVar("T")
Job = Callable[[], object]
IDLE = 2.0
"""Seconds that a thread waits for more work before it ends."""


class Pool:
    """Runs jobs in at most `size` threads, in the order in which they are due.

    Its threads are daemons: a job that never returns keeps no process alive.

    Args:
        name: Of the threads.
        size: How many there are at most.
        prepare: Called once in each thread before its first job.
    """

    def __init__(self, name: str, size: int, *, prepare: Callable[[], None] | None = None) -> None:
        self._name = name
        self._size = size
        self._prepare = prepare
        self._changed = threading.Condition()
        self._ready: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, job: Job, *, delay: float = 0.0) -> None:
        """Run `job` in `delay` seconds, as soon as a thread is free then; after `close`, never."""
        with self._changed:
            if self._threads and not any(thread.is_alive() for thread in self._threads):
                self._threads.clear()  # in a forked child: they, and what they were to do, are its parent's
                self._ready.clear()
                self._later.clear()
                self._idle = 0
            if self._closed:
                return
            if delay > 0:
                heapq.heappush(self._later, (time.monotonic() + delay, next(self._numbers), job))
                if self._later[0][2] is job:
                    self._changed.notify_all()  # they wait for less now
            else:
                self._ready.append(job)
            self._engage()

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Run `job` as soon as a thread is free, and return what will hold its result."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                    future.set_exception(error)

        self.submit(run)
        return future

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Let another thread stand in for this one, should it be of this pool, while it waits for the pool's work."""
        ours = threading.current_thread() in self._threads
        with self._changed:
            self._size += ours
            self._engage()
        try:
            yield
        finally:
            with self._changed:
                self._size -= ours

    def forget(self) -> None:
        """Drop what is not due yet."""
        with self._changed:
            self._later.clear()
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Drop what is not begun, take no more, and wait for what is begun, at most `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._later.clear()
            self._changed.notify_all()
            threads = self._threads - {threading.current_thread()}
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _engage(self) -> None:
        """See to it that a thread takes the next job that is ready, and that one waits for the next that will be."""
        wanted = len(self._ready) + bool(self._later)
        if wanted > self._idle and len(self._threads) < self._size:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.add(thread)
            thread.start()
        elif wanted:
            self._changed.notify()

    def _work(self) -> None:
        if self._prepare is not None:
            self._prepare()
        while (job := self._next()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - one job must not end the thread of all
                logger.bind(error=repr(error)).error("work in the background failed")
            del job  # what it holds must not outlive it

    def _next(self) -> Job | None:
        """Wait for a job; None when this thread has had none for a while, and none waits for it."""
        idle_until = time.monotonic() + IDLE
        with self._changed:
            while not self._ready:
                now = time.monotonic()
                if self._later and self._later[0][0] <= now:
                    self._ready.append(heapq.heappop(self._later)[2])
                    continue
                until = self._later[0][0] if self._later else idle_until
                if self._idle or not self._later:  # another one waits for what comes later, or nothing does
                    until = min(until, idle_until)
                if self._closed or until <= now:
                    self._threads.discard(threading.current_thread())
                    return None
                self._idle += 1
                self._changed.wait(until - now)
                self._idle -= 1
            job = self._ready.popleft()
            if self._later:
                self._engage()  # another thread waits for it meanwhile
            return job
