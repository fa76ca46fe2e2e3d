"""An execution under way: from the start of its container to its result."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial

from botdock._log import about, logger
from botdock.config import Config
from botdock.errors import (
    BotdockError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    LogError,
)
from botdock.executions._files import WAITING
from botdock.executions._stops import StopRequest, read_stop
from botdock.model import ContainerStatus, ExecutionResult, Outcome, Phase
from botdock.orchestrator.attempts import Attempts, Ending
from botdock.orchestrator.conclusion import Conclusion, LeftError
from botdock.orchestrator.deadlines import Deadlines, Timeout
from botdock.orchestrator.reading import ExecutionReader, Work
from botdock.orchestrator.run import Created, Run
from botdock.services.interfaces import Services

PAUSES = (0.002, 0.5)
"""Seconds between two looks at a container whose end is not heard: a twentieth of what it has run, in these bounds."""
FIRST_LOOK = 0.02
"""Seconds after its start until the first look, where its end is heard: its first line is not kept waiting for that."""
RECONNECT_PAUSE = 0.25
"""Seconds between attempts to reach an engine that went away."""
WHY_EVERY = 5.0
"""Seconds between two questions why a container has not been started yet."""
END_PAUSE = 2.0
"""Seconds between attempts to end what may not go on, where the engine could not."""
Course = Callable[[], ExecutionResult]
"""Sees an execution to its end, and returns its result."""


class Execution(ExecutionReader):
    """One run of an executable; safe to use from several threads.

    Attributes:
        attempts: Those of botdock to end it.
    """

    def __init__(
        self,
        run: Run,
        *,
        services: Services,
        config: Config,
        conclusion: Conclusion,
        work: Work,
        on_done: Callable[[ExecutionResult | None], None],
        hears: Callable[[], bool],
    ) -> None:
        self.execution_id = run.execution_id
        self._run, self._work = run, work
        self._containers, self._logs = services.containers, services.logs
        self._over = Future()
        self.attempts = Attempts(run.journal.event)
        self._config = config
        self._conclusion, self._on_done, self._hears = conclusion, on_done, hears
        self._ender: threading.Thread | None = None
        self._obeyed: StopRequest | None = None
        self._looking, self._telling = threading.Lock(), threading.Lock()
        self._is_starting = False
        self._watched: Created | None = None
        self._turn = 0
        self._started = 0.0
        self._deadlines = Deadlines(lambda: services.logs.get_collection_status(run.execution_id))
        self._away_since: float | None = None

    def stop(self, grace: float | None = None) -> None:
        """Ask it to end, and kill it after `grace` seconds (None means the configured ones).

        Returns when it has an outcome, or, should storing its log or result hang, after the engine's call timeout.
        One that has ended already is left alone.

        Raises:
            ContainerError: The engine could not stop it.
        """
        self._end(Outcome.STOPPED, "", self._config.runtime.grace if grace is None else grace)
        if threading.current_thread() is not self._ender:  # a hook of its own end may call this, too
            self.wait(self._config.containers.call_timeout)

    def kill(self) -> None:
        """End it at once."""
        self.stop(grace=0.0)

    def begin(self, created: Created, *, elapsed: float = 0.0) -> None:
        """Watch over the container from now on; `elapsed` seconds it has been running."""
        self._started = time.monotonic() - elapsed
        self._deadlines.begin(self._run.bounds, self._started, wall_started=self._run.started_ns / 1e9)
        self._run.journal.event("phase", phase=Phase.WAIT.value)
        self._watched = created
        self._work.looks.submit(self._look, delay=FIRST_LOOK if self._hears() else 0.0)
        self.obey()  # what was asked for since the last look of its start

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Within it, the engine is asked now and then why it has not started the container yet; a step tells that."""
        self._is_starting, again = True, weakref.WeakMethod(self._tell_why_not_yet)  # what is to come holds nothing
        self._work.looks.submit(lambda: (tell := again()) and tell(), delay=WHY_EVERY)
        try:
            with self._run.journal.at_hand():
                yield
        finally:
            with self._telling:
                self._is_starting = False

    def _tell_why_not_yet(self, told: str = "") -> None:
        """Write down what its start waits for, in the engine's words, unless that is told already; and ask again."""
        run, why = self._run, told
        if run.container is not None and run.started_ns:
            with suppress(BotdockError):
                why = self._containers.get_container_status(run.container).error
        with self._telling:
            if not self._is_starting:
                return
            if why != told:
                run.journal.event(WAITING, why=run.mask(why))
        self._work.looks.submit(partial(self._tell_why_not_yet, why), delay=WHY_EVERY)

    def finish_by(self, course: Course) -> None:
        """Let `course` see it to its end, in another thread."""
        self._work.ends.submit(partial(self._finish, course))

    def ended(
        self,
        created: Created,
        status: ContainerStatus | None,
        *,
        duration: float,
        lost: tuple[Outcome, str] | None = None,
    ) -> None:
        """See it to its end, in another thread: its container ended so after that many seconds, or is `lost`."""

        def conclude() -> ExecutionResult:
            ending = self.attempts.reason(status)
            if lost is not None:
                ending = Ending(lost[0], ending.failure or lost[1])
            return self._conclusion.conclude(self._run, created, status, ending=ending, duration=duration)

        self._run.phases[Phase.WAIT.value] = duration
        self.finish_by(conclude)

    def leave(self) -> None:
        """Watch it no longer, and let its log go: the next runner takes it over where it stands."""
        with self._looking:
            watched, self._watched = self._watched, None
        if watched is not None:
            self.leave_log()
            self.finish_by(_left)

    def leave_log(self) -> None:
        """Read its log no further: the next runner reads the rest from the engine."""
        self._run.left = True
        with suppress(LogError):  # it is read already
            self._logs.release(self.execution_id)

    def end_soon(
        self, why: Outcome, failure: str = "", *, grace: float | None = 0.0, timeout: Timeout | None = None
    ) -> None:
        """End it in another thread, trying until the engine can; `grace` is in seconds, None for the usual one."""

        def end() -> None:
            try:
                if not self.done:
                    self._end(why, failure, self._config.runtime.grace if grace is None else grace, timeout)
            except BotdockError as error:
                logger.bind(execution_id=self.execution_id, error=error.message).warning("could not end the container")
                self._work.stops.submit(end, delay=END_PAUSE)

        self._work.stops.submit(end)

    def obey(self) -> None:
        """End it soon, should another process have asked for that, and not only as it did before."""
        request = read_stop(self._run.journal.directory)
        if request is not None and request != self._obeyed:
            self._obeyed = request
            logger.bind(execution_id=self.execution_id).info("another process asked for a stop")
            self.end_soon(Outcome.STOPPED, grace=request.grace)

    def _end(self, why: Outcome, failure: str, grace: float, timeout: Timeout | None = None) -> None:
        if (container := self._run.container) is None:
            return  # no bot was started: it ends by itself

        def is_over() -> bool:
            return self._containers.wait(container, timeout=0.0) is not None

        if why is Outcome.STOPPED:
            self._look()  # one that has ended by itself was not ended by us
        with about(self.execution_id):  # the caller may be about another one
            stop = partial(self._containers.stop_container, container, grace=grace)
            try:
                self.attempts.attempt(why, stop, is_over=is_over, grace=grace, failure=failure, timeout=timeout)
            finally:
                self.look_soon()

    def _finish(self, course: Course) -> None:
        """See it to its end; there is a result afterwards in any case, and no caller waits for ever."""
        self._ender, result = threading.current_thread(), None
        with about(self.execution_id):
            try:
                with suppress(LeftError):  # the rest is left to a successor
                    try:
                        result = course()
                    except LeftError:
                        raise
                    except Exception as error:  # noqa: BLE001 - the one place where a defect of ours becomes a result
                        logger.bind(error=repr(error)).error("execution failed")
                        result = self._failed(f"botdock failed: {error!r}")
                self.attempts.close()
                self._on_done(result)
            except Exception as error:  # noqa: BLE001 - a hook that is told of the end must not keep it from others
                logger.bind(error=repr(error)).error("the end of an execution could not be told")
            finally:
                self._over.set_result(result)
        self._ender = None

    def _failed(self, said: str) -> ExecutionResult:
        """Return the result of what failed by a defect of ours; its clean-up may fail, too."""
        try:
            return self._conclusion.failed(self._run, said)
        except Exception as error:  # noqa: BLE001 - its record stays without an outcome until that works
            logger.bind(error=repr(error)).error("execution failed, and so did its clean-up")
            broken = Outcome.INFRASTRUCTURE_ERROR
            self._run.owed = [said]
            self._run.concluded = self._run.result(outcome=broken, message=said, error=said)
            return self._run.concluded

    def look_soon(self) -> None:
        """Look, in a thread of the pool, whether it has ended."""
        self._work.looks.submit(self._look)

    def _look(self, turn: int | None = None) -> None:
        """End it when its time is over; see it to its end when it has ended; else look again when that may be so."""
        with about(self.execution_id), self._looking:
            if (created := self._watched) is None or turn not in {None, self._turn}:
                return
            status, lost = self._ask(created)
            if status is None and lost is None:
                unanswered = self._away_since is None and self.attempts.runs_on()
                left, timeout = self._deadlines.left(hears=self._away_since is None)
                if timeout is not None:
                    self.end_soon(Outcome.TIMED_OUT, grace=None, timeout=timeout)
                self._turn += 1
                if math.isfinite(pause := self._pause(left, unanswered=unanswered)):
                    again, turn = weakref.WeakMethod(self._look), self._turn  # its wall time must not keep it that long
                    self._work.looks.submit(lambda: (look := again()) and look(turn), delay=pause)
                return
            self._watched = None
        self.ended(created, status, duration=time.monotonic() - self._started, lost=lost)

    def _ask(self, created: Created) -> tuple[ContainerStatus | None, tuple[Outcome, str] | None]:
        """Return how it ended, or why that cannot be known; neither while it runs, or its engine may come back."""
        try:
            status = self._containers.wait(created.container, timeout=0.0)
        except (EngineUnavailableError, EngineTimeoutError) as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since < self._config.containers.reconnect_timeout:
                return None, None
            return None, (Outcome.INFRASTRUCTURE_ERROR, error.message)
        except ContainerNotFoundError as error:
            return None, (Outcome.LOST, f"the container is gone: {error.message}")
        except BotdockError as error:
            return None, (Outcome.INFRASTRUCTURE_ERROR, error.message)
        if self._away_since is not None:
            self._away_since = None
            self._deadlines.engine_is_back()
        return status, None

    def _pause(self, left: float, *, unanswered: bool) -> float:
        """Return after how many seconds to look again; for ever, where its end is heard and no deadline is near."""
        shortest, longest = PAUSES
        pause = math.inf
        if self._away_since is not None:
            pause = RECONNECT_PAUSE
        elif unanswered or not self._hears():
            pause = min(max((time.monotonic() - self._started) / 20, shortest), longest)
        return min(pause, left)


def _left() -> ExecutionResult:
    raise LeftError
