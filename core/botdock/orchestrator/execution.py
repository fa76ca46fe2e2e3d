"""An execution under way: from the start of its container to its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from botdock._log import about, logger
from botdock.errors import (
    BotdockError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from botdock.model import ContainerStatus, ExecutionResult, Outcome, Status
from botdock.orchestrator.conclusion import Conclusion, LeftError
from botdock.orchestrator.ending import Ending
from botdock.orchestrator.execution_log import ExecutionLog
from botdock.orchestrator.run import Run
from botdock.orchestrator.watch import Work
from botdock.services.interfaces import Containers, Logs

HEARING_PAUSE = 30.0
"""Seconds between two looks at a container whose end is heard."""
PAUSES = (0.002, 0.5)
"""Seconds between two looks at another one: a twentieth of what it has run, but no less and no more."""
RECONNECT_PAUSE = 0.25
"""Seconds between attempts to reach an engine that went away."""
END_PAUSE = 2.0
"""Seconds between attempts to end what may not go on, where the engine could not."""


class Execution(ExecutionLog):
    """One run of an executable; safe to use from several threads.

    Attributes:
        execution_id: The run; sorts by time.
        container_id: The engine's identity of its container.
        ending: Why botdock ends it, if it does.
    """

    def __init__(
        self,
        run: Run,
        *,
        containers: Containers,
        logs: Logs,
        conclusion: Conclusion,
        grace: float,
        reconnect_timeout: float,
        end_timeout: float,
        on_done: Callable[[ExecutionResult | None], None],
        work: Work,
        hears: Callable[[], bool],
    ) -> None:
        self.execution_id = run.execution_id
        self._over: Future[ExecutionResult | None] = Future()
        super().__init__(run, logs, work.looks, done=self._over.done)
        self._containers = containers
        self._conclusion = conclusion
        self._grace = grace
        self._reconnect_timeout = reconnect_timeout
        self._end_timeout = end_timeout
        self._on_done = on_done
        self.ending = Ending(run.journal.event)
        self._work = work
        self._hears = hears
        self._ender: threading.Thread | None = None
        self._looking = threading.Lock()
        self._watched = False
        self._waiting = conclusion.waiting(run)
        self._turn = 0
        self._started = 0.0
        self._deadline = float("inf")
        self._away_since: float | None = None

    @property
    def container_id(self) -> str:
        """The engine's identity of its container."""
        return self._run.container_id

    @property
    def result(self) -> ExecutionResult:
        """The result; of one that still runs, what is known so far, with the status `running`."""
        if self.done and (result := self._over.result()) is not None:
            return self._run.concluded or result  # what could not be removed at its end may be since
        return self._run.result(status=Status.RUNNING, message="running")

    @property
    def done(self) -> bool:
        """Whether it has ended, all of it is stored, and what can be is removed: `result.evidence` has what cannot.

        One that a closed runner has left to the next is done, too, and its result says that it runs.
        """
        return self._over.done()

    def add_done_callback(self, call: Callable[[Execution], object]) -> None:
        """Call `call` with this execution once it is done, in the thread that ends it; at once when it is done already.

        What it raises is logged. As any callback it should be short.
        """

        def guarded(_over: object) -> None:
            try:
                call(self)
            except Exception as error:  # noqa: BLE001 - the others are called all the same
                logger.bind(execution_id=self.execution_id, error=repr(error)).error("a callback failed")

        self._over.add_done_callback(guarded)

    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        """Wait for the end, at most `timeout` seconds; return the result, or None when it still runs."""
        with suppress(TimeoutError), self._work.ends.blocked():
            return self._over.result(timeout)
        return None

    def stop(self, grace: float | None = None) -> None:
        """Ask it to end, and kill it after `grace` seconds (None means the configured ones).

        Returns when it has an outcome, or, should storing its log or result hang, after the engine's call timeout.
        One that has ended already is left alone.

        Raises:
            ContainerError: The engine could not stop it.
        """
        self._end(Outcome.STOPPED, self._grace if grace is None else grace)
        if threading.current_thread() is not self._ender:  # a hook of its own end may call this, too
            self.wait(self._end_timeout)

    def kill(self) -> None:
        """End it at once."""
        self.stop(grace=0.0)

    def begin(self, *, elapsed: float = 0.0) -> None:
        """Watch over the container from now on; `elapsed` seconds it has been running."""
        self._started = time.monotonic() - elapsed
        allowance = self._run.allowance
        if allowance is not None and allowance.timeout is not None:
            self._deadline = self._started + allowance.timeout
        self._waiting.__enter__()
        self._watched = True
        self.look_soon()

    def begin_ended(self, status: ContainerStatus, *, duration: float) -> None:
        """See one to its end whose container has ended already, after `duration` seconds."""
        self.finish_by(lambda: self._conclude(status, None, duration))

    def finish_by(self, course: Callable[[], ExecutionResult]) -> None:
        """Let `course` see it to its end, in another thread."""
        self._work.ends.submit(lambda: self._finish(course))

    def leave(self) -> None:
        """Watch it no longer, and let its log go: the next runner takes it over where it stands."""
        with self._looking:
            if not self._watched:
                return
            self._watched = False
        self._conclusion.leave(self.execution_id)
        self.finish_by(_left)

    def on_limit(self) -> None:
        """It wrote more than it may: end it, without keeping the log collector waiting."""
        self._run.over_limit = True
        self.end_soon(Outcome.OUTPUT_LIMIT)

    def on_failure(self, error: BotdockError) -> None:
        """Its log can be stored no longer: end it, without keeping the log collector waiting."""
        said = f"{error.message}. {error.hint}" if error.hint else error.message
        self.end_soon(Outcome.INFRASTRUCTURE_ERROR, failure=said)

    def end_soon(self, why: Outcome, *, grace: float | None = 0.0, failure: str = "") -> None:
        """End it in another thread, and try until the engine can, or until it has ended; None is the usual grace."""
        seconds = self._grace if grace is None else grace
        self._work.stops.submit(lambda: self._end_persistently(why, seconds, failure))

    def _end_persistently(self, why: Outcome, grace: float, failure: str) -> None:
        if not self.done and not self._end_quietly(why, grace, failure):
            self._work.after(END_PAUSE, self._work.stops, lambda: self._end_persistently(why, grace, failure))

    def _end(self, why: Outcome, grace: float, failure: str = "") -> None:
        def stop() -> bool:
            if self._containers.wait(self._run.handle, timeout=0.0) is not None:
                return False  # an engine that was away has only now told of it
            self._containers.stop_container(self._run.handle, grace=grace)
            return True

        if why is Outcome.STOPPED:
            self._look()  # one that has ended by itself was not ended by us
        with about(self.execution_id):  # the caller may be about another one
            self.ending.attempt(why, stop, failure=failure)
        self.look_soon()

    def _end_quietly(self, why: Outcome, grace: float, failure: str = "") -> bool:
        """End it; return whether the engine could."""
        try:
            self._end(why, grace, failure)
        except BotdockError as error:
            logger.bind(execution_id=self.execution_id, error=error.message).warning("could not end the container")
            return False
        return True

    def _finish(self, course: Callable[[], ExecutionResult]) -> None:
        """See it to its end; whatever happens, there is a result afterwards, and no caller waits for ever."""
        self._ender, result = threading.current_thread(), None
        with about(self.execution_id):
            try:
                result = self._outcome_of(course)
                self.ending.close()
                self._on_done(result)
            except Exception as error:  # noqa: BLE001 - a hook that is told of the end must not keep it from others
                logger.bind(error=repr(error)).error("the end of an execution could not be told")
            finally:
                self.ending.close()
                self._over.set_result(result)
        self._ender = None

    def _outcome_of(self, course: Callable[[], ExecutionResult]) -> ExecutionResult | None:
        """Take the course; a defect of ours becomes a result, not a hang. None: the rest is left to a successor."""
        try:
            return course()
        except LeftError:
            return None
        except Exception as error:  # noqa: BLE001 - the one place where this is so
            said = f"botdock failed: {error!r}"
            logger.bind(error=repr(error)).error("execution failed")
        try:
            return self._conclusion.failed(self._run, said)
        except Exception as error:  # noqa: BLE001 - its record stays without an outcome until that works
            logger.bind(error=repr(error)).error("execution failed, and so did its clean-up")
            self._run.owed = [said]
            self._run.concluded = self._run.result(
                status=Status.ERROR, outcome=Outcome.INFRASTRUCTURE_ERROR, message=said, error=said
            )
            return self._run.concluded

    def _conclude(
        self, status: ContainerStatus | None, lost: tuple[Outcome, str] | None, duration: float
    ) -> ExecutionResult:
        self.ending.close()
        ended_by, failure = self.ending.reason(status)
        if lost is not None:
            ended_by, failure = lost[0], failure or lost[1]
        return self._conclusion.conclude(self._run, status, ended_by=ended_by, failure=failure, duration=duration)

    def look_soon(self) -> None:
        """Look, in a thread of the pool, whether it has ended."""
        self._work.looks.submit(self._look)

    def _look(self, turn: int | None = None) -> None:
        """End it when its time is over; see it to its end when it has ended; else look again in a while."""
        with about(self.execution_id), self._looking:
            if not self._watched or turn not in {None, self._turn}:
                return
            if time.monotonic() >= self._deadline:
                self._deadline = float("inf")
                self.end_soon(Outcome.TIMED_OUT, grace=None)
            status, lost = self._ask()
            if status is None and lost is None:
                self._turn += 1
                self._work.after(self._pause(), self._work.looks, partial(self._look, self._turn))
                return
            self._watched = False
            self.ending.close()
            self._waiting.__exit__(None, None, None)
            duration = time.monotonic() - self._started
        self.finish_by(lambda: self._conclude(status, lost, duration))

    def _ask(self) -> tuple[ContainerStatus | None, tuple[Outcome, str] | None]:
        """Return how it ended, or why that cannot be known; neither while it runs, or its engine may come back."""
        try:
            status = self._containers.wait(self._run.handle, timeout=0.0)
        except (EngineUnavailableError, EngineTimeoutError) as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since < self._reconnect_timeout:
                return None, None
            return None, (Outcome.INFRASTRUCTURE_ERROR, error.message)
        except ContainerNotFoundError as error:
            return None, (Outcome.LOST, f"the container is gone: {error.message}")
        except BotdockError as error:
            return None, (Outcome.INFRASTRUCTURE_ERROR, error.message)
        self._away_since = None
        return status, None

    def _pause(self) -> float:
        """Return after how many seconds to look again."""
        now, (shortest, longest) = time.monotonic(), PAUSES
        pause = HEARING_PAUSE if self._hears() else min(max((now - self._started) / 20, shortest), longest)
        if self._away_since is not None:
            pause = RECONNECT_PAUSE
        return min(pause, max(self._deadline - now, 0.0))


def _left() -> ExecutionResult:
    raise LeftError
