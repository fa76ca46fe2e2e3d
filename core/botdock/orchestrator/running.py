"""The executions of one runner that run, what wakes it for them, and what tries again to finish those that are over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import wait
from contextlib import closing, contextmanager
from functools import partial

from botdock._log import about, logger
from botdock._threads import Pool
from botdock.errors import UserError
from botdock.model import ContainerState, EngineEvents
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.run import Run
from botdock.services.interfaces import Containers

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to finish what is owed; each pause is twice as long as the one before it."""
LOOK_EVERY = 600.0
"""Seconds between two looks for what other runners left."""
RECONNECT_PAUSES = (0.25, 4.0)
"""Seconds between attempts to hear an engine's events again: the first ones, and the longest."""
LIST_EVERY = 30.0
"""Seconds between two listings that find what an engine's events did not tell."""


class ClosedError(UserError):
    """The runner was closed by its owner: what it was just starting is given up, and no failure of any part."""


class Running:
    """The executions that run, and how many are just being started, until it is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._beginning = 0
        self._executions: dict[str, Execution] = {}

    @property
    def is_over(self) -> bool:
        """Whether it is closed, and nothing runs or begins."""
        with self._changed:
            return self._closed and not (self._executions or self._beginning)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Begin something, which `close` waits for.

        Raises:
            ClosedError: It is closed.
        """
        with self._changed:
            self.check_open()
            self._beginning += 1
        try:
            yield
        finally:
            with self._changed:
                self._beginning -= 1
                self._changed.notify_all()

    def check_open(self) -> None:
        """Refuse to go on when it is closed.

        Raises:
            ClosedError: It is.
        """
        if self._closed:
            raise ClosedError("this runner is closed", hint="Make a new one.")

    def keep(self, execution: Execution) -> Execution:
        """Add an execution, which has been admitted, and return it."""
        with self._changed:
            self._executions[execution.execution_id] = execution
        return execution

    def drop(self, execution_id: str) -> None:
        """Take an execution out that has ended."""
        with self._changed:
            self._executions.pop(execution_id, None)

    def all(self) -> list[Execution]:
        """Return the executions that run now."""
        with self._changed:
            return list(self._executions.values())

    def obey(self) -> None:
        """End those that other processes ask to stop."""
        for execution in self.all():
            execution.obey()

    def look(self, ended: Collection[str] | None = None, *, but: Collection[str] = ()) -> None:
        """Look whether the executions in these containers have ended; None means in all but those."""
        for execution in self.all():
            if execution.container_id not in but if ended is None else execution.container_id in ended:
                execution.look_soon()

    def close(self, timeout: float) -> bool:
        """Admit no more, and wait for what begins, at most `timeout` seconds; False when it is closed already."""
        with self._changed:
            closed, self._closed = self._closed, True
            self._changed.wait_for(lambda: not self._beginning, timeout)
        return not closed


class Watch:
    """One thread that hears of the ends of all containers, where the engine has events.

    Args:
        containers: The container service.
        selectors: Of the containers whose ends are told.
        look: Looks whether executions have ended; see `Running.look`.

    Attributes:
        hears: Whether the end of a container will be heard; else it has to be looked for.
    """

    def __init__(self, containers: Containers, selectors: Mapping[str, str], look: Callable[..., None]) -> None:
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
            except Exception as error:  # noqa: BLE001 - a third party's engine may raise anything
                if not self._closed.is_set():
                    logger.bind(error=str(error)).debug("the engine's events cannot be heard now")
            if self.hears:
                pause = shortest
                self.hears = False
                self._look()  # from now on they look by themselves, until there are events again
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
            self._look()  # at what ended while nothing was heard
            listed = time.monotonic()
            while not self._closed.is_set():
                self._look(set(events.read(LIST_EVERY)))
                if not events.is_certain and time.monotonic() - listed >= LIST_EVERY:
                    self._look(but=self._that_run())
                    listed = time.monotonic()

    def _that_run(self) -> set[str]:
        found = self._containers.list_containers(self._selectors)
        return {info.container_id for info in found if info.state is ContainerState.RUNNING}


class Retries:
    """Tries again, one after the other, to finish what is over, of this runner and of dead ones; see `recovery`.

    Args:
        conclusion: Tries to finish a run.
        look: Takes over what other runners owe; told whether to remove strays too.
    """

    def __init__(self, conclusion: Conclusion, look: Callable[[bool], None]) -> None:
        self._conclusion = conclusion
        self._look = look
        self._pool = Pool("botdock-retry", 1)
        self._owed: dict[str, Run] = {}
        self._begun = False
        self._closed = False

    def begin(self) -> None:
        """Look for what other runners owe from now on, unless that has begun."""
        if not self._begun:
            self._begun = True
            self._pool.submit(partial(self._look_at_others, strays=False))

    def add(self, run: Run) -> None:
        """Try from now on to finish this run, of which something is owed; after the end, a successor does."""
        if not self._closed:
            self._owed[run.execution_id] = run
            self._pool.submit(partial(self._retry, run, FIRST_PAUSE), delay=FIRST_PAUSE)

    def close(self, timeout: float) -> None:
        """Try everything once more, and wait for that at most `timeout` seconds."""
        self._closed = True
        self._pool.forget()
        wait([self._pool.call(partial(self._retry, run, 0.0)) for run in list(self._owed.values())], timeout)

    def _retry(self, run: Run, pause: float) -> None:
        """Try to finish a run; where that fails, once more after twice the pause."""
        if run.execution_id not in self._owed:
            return
        with about(run.execution_id):
            try:
                self._conclusion.retry(run)
            except Exception as error:  # noqa: BLE001 - it is tried again
                logger.bind(error=repr(error)).warning("what is owed could not be tried")
        if not run.owed:
            self._owed.pop(run.execution_id, None)
            logger.bind(execution_id=run.execution_id).info("what an execution had left behind is removed")
        elif not self._closed:
            longer = min(2 * pause, LONGEST_PAUSE)
            self._pool.submit(partial(self._retry, run, longer), delay=longer)

    def _look_at_others(self, *, strays: bool) -> None:
        """Finish what other runners left that is over, and again in a while; from the second look on, remove strays."""
        pause = LOOK_EVERY
        try:
            self._look(strays)
            strays = True
        except Exception as error:  # noqa: BLE001 - it is tried again; what a bot owes must not depend on it
            logger.bind(error=str(error)).debug("what other runners owe could not be looked for")
            pause = LONGEST_PAUSE
        if not self._closed:
            self._pool.submit(partial(self._look_at_others, strays=strays), delay=pause)
