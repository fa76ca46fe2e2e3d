"""Few threads for many executions: pools, a clock, one that hears of ends, and one that hears of requests to stop."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from botdock._log import logger
from botdock.errors import BotdockError
from botdock.executions._stops import Doorbell
from botdock.model import EngineEvents
from botdock.services.interfaces import Containers

T = TypeVar("T")
Job = Callable[[], object]
IDLE = 2.0
"""Seconds that a thread waits for more work before it ends."""
RECONNECT_PAUSES = (0.25, 4.0)
"""Seconds between attempts to hear an engine's events again: the first ones, and the longest."""
READ_TIMEOUT = 60.0


class Pool:
    """Runs jobs in at most `size` threads, in their order; threads are made for work, and end soon without it.

    They are daemons: a job that never returns keeps no process alive.

    Args:
        name: Of the threads.
        size: How many there are at most.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle: set[threading.Thread] = set()

    def submit(self, job: Job) -> None:
        """Run `job` as soon as a thread is free."""
        with self._changed:
            self._jobs.append(job)
            self._man()

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Run `job` likewise, and return what will hold its result."""
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
        if threading.current_thread() not in self._threads:
            yield
            return
        with self._changed:
            self._size += 1
            self._man()
        try:
            yield
        finally:
            with self._changed:
                self._size -= 1

    def _man(self) -> None:
        """Wake a thread for the newest job, or start one."""
        if self._idle and not next(iter(self._threads)).is_alive():  # in a forked child: they are its parent's
            self._threads, self._idle = set(), set()
        if len(self._idle) >= len(self._jobs):
            self._changed.notify()
        elif len(self._threads) < self._size and self._jobs:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        thread = threading.current_thread()
        while True:
            with self._changed:
                self._idle.add(thread)
                self._changed.wait_for(lambda: self._jobs, IDLE)
                self._idle.discard(thread)
                if not self._jobs:
                    self._threads.discard(thread)
                    return
                job = self._jobs.popleft()
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - one job must not end the thread of all
                logger.bind(error=repr(error)).error("work on an execution failed")
            del job  # what it holds must not outlive it


class Work:
    """The threads of one runner, by what they may wait for, so that none waits for another's; and their clock.

    Attributes:
        starts: For images and code.
        looks: For one short answer of the engine.
        stops: For a bot's grace.
        ends: For the rest of a log, and for the storage.
        upkeep: For what could not be removed at an end, one after the other.
    """

    def __init__(self) -> None:
        self.starts = Pool("botdock-start", 4)
        self.looks = Pool("botdock-look", 2)
        self.stops = Pool("botdock-stop", 64)
        self.ends = Pool("botdock-end", 8)
        self.upkeep = Pool("botdock-upkeep", 1)
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Pool, Job]] = []
        self._numbers = itertools.count()
        self._clock: threading.Thread | None = None

    def after(self, seconds: float, pool: Pool, job: Job) -> None:
        """Run a job in that pool in so many seconds."""
        with self._changed:
            if self._clock is not None and not self._clock.is_alive():  # in a forked child: what its parent waits for
                self._clock, self._due = None, []
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), pool, job))
            if self._clock is None:
                self._clock = threading.Thread(target=self._tick, name="botdock-clock", daemon=True)
                self._clock.start()
            elif self._due[0][3] is job:
                self._changed.notify()

    def close(self) -> None:
        """Forget what is not due yet."""
        with self._changed:
            self._due.clear()
            self._changed.notify()

    def _tick(self) -> None:
        """Hand on each job when it is due, until none has come for a while."""
        with self._changed:
            while True:
                left = self._due[0][0] - time.monotonic() if self._due else IDLE
                if self._due and left <= 0:
                    _, _, pool, job = heapq.heappop(self._due)
                    pool.submit(job)
                elif not self._changed.wait(left) and not self._due:
                    self._clock = None
                    return


class Watch:
    """One thread that hears of the ends of all containers, where the engine has events.

    Args:
        containers: The container service.
        selectors: Of the containers whose ends are told.
        look: Looks whether the executions in these containers have ended; None means at all of them.

    Attributes:
        hears: Whether the end of a container will be heard; else it has to be looked for.
    """

    def __init__(
        self, containers: Containers, selectors: Mapping[str, str], look: Callable[[Collection[str] | None], None]
    ) -> None:
        self._containers = containers
        self._selectors = selectors
        self._look = look
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._events: EngineEvents | None = None
        self._has_events = True
        self.hears = False

    def begin(self) -> None:
        """Start, unless it has been started, or the engine has no events."""
        with self._lock:
            if self._has_events and not self._closed.is_set() and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._listen, name="botdock-events", daemon=True)
                self._thread.start()

    def close(self, timeout: float) -> None:
        """End, and wait for that at most `timeout` seconds."""
        self._closed.set()
        with self._lock:
            if self._events is not None:
                self._events.close()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)

    def _listen(self) -> None:
        shortest, longest = RECONNECT_PAUSES
        pause = shortest
        while self._has_events and not self._closed.is_set():
            try:
                self._hear()
            except BotdockError as error:
                logger.bind(error=error.message).debug("the engine's events cannot be heard now")
            if self.hears:
                pause = shortest
                self.hears = False
                self._look(None)  # from now on they look by themselves, until there are events again
            self._closed.wait(pause)
            pause = min(2 * pause, longest)

    def _hear(self) -> None:
        events = self._containers.events(self._selectors)
        if events is None:
            self._has_events = False
            return
        with self._lock:
            self._events = events
        with closing(events):
            self.hears = True
            self._look(None)  # at what ended while nothing was heard
            while not self._closed.is_set():
                self._look(set(events.read(READ_TIMEOUT)))


class StopRequests:
    """A thread that has requests to stop obeyed when it is woken, and each second.

    Args:
        home: The state folder.
        obey: Looks for requests, and obeys them.
    """

    def __init__(self, home: Path, obey: Callable[[], None]) -> None:
        self._home = home
        self._obey = obey
        self._lock = threading.Lock()
        self._doorbell: Doorbell | None = None
        self._thread: threading.Thread | None = None

    def begin(self, runner: str) -> None:
        """Start for the runner of that id, unless it has been started."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._doorbell = Doorbell(self._home, runner)
                self._thread = threading.Thread(
                    target=self._work, args=(self._doorbell,), name="botdock-stops", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End; what is asked for from now on is the successor's to obey."""
        with self._lock:
            if self._doorbell is not None:
                self._doorbell.close()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _work(self, doorbell: Doorbell) -> None:
        while doorbell.wait():
            self._obey()
