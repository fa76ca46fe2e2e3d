"""An execution under way: from the start of its container to its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from botdock._log import about, carried, logger
from botdock.errors import (
    BotdockError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    LogError,
)
from botdock.model import ContainerStatus, ExecutionResult, LogChunk, LogLine, Outcome, Status
from botdock.orchestrator.conclusion import Conclusion, LeftError
from botdock.orchestrator.ending import Ending
from botdock.orchestrator.run import Run
from botdock.services.interfaces import Containers, Logs
from botdock.services.lines import lines_of
from botdock.services.log_store import StoredLog

WAIT_SLICE = 30.0
"""Seconds of one call to the engine's `wait`; the whole wait is as long as the bot may run."""
RECONNECT_PAUSE = 0.25
"""Seconds between attempts to reach an engine that went away."""
END_PAUSE = 2.0
"""Seconds between attempts to end what may not go on, where the engine could not."""


class Execution:
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
    ) -> None:
        self.execution_id = run.execution_id
        self._run = run
        self._containers = containers
        self._logs = logs
        self._conclusion = conclusion
        self._grace = grace
        self._reconnect_timeout = reconnect_timeout
        self._end_timeout = end_timeout
        self._on_done = on_done
        self.ending = Ending(run.journal.event)
        self._done = threading.Event()
        self._result: ExecutionResult | None = None
        self._watcher: threading.Thread | None = None

    @property
    def container_id(self) -> str:
        """The engine's identity of its container."""
        return self._run.container_id

    @property
    def result(self) -> ExecutionResult:
        """The result; of one that still runs, what is known so far, with the status `running`."""
        if self._result is not None:  # what could not be removed at its end may be since
            return self._run.concluded or self._result
        return self._run.result(status=Status.RUNNING, message="running")

    @property
    def done(self) -> bool:
        """Whether it has ended, all of it is stored, and what can be is removed: `result.evidence` has what cannot."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        """Wait for the end, at most `timeout` seconds; return the result, or None when it still runs."""
        return self._result if self._done.wait(timeout) else None

    def stop(self, grace: float | None = None) -> None:
        """Ask it to end, and kill it after `grace` seconds (None means the configured ones).

        Returns when it has an outcome, or, should storing its log or result hang, after the engine's call timeout.
        One that has ended already is left alone.

        Raises:
            ContainerError: The engine could not stop it.
        """
        self._end(Outcome.STOPPED, self._grace if grace is None else grace)
        if threading.current_thread() is not self._watcher:  # a hook of its own end may call this, too
            self._done.wait(self._end_timeout)

    def kill(self) -> None:
        """End it at once."""
        self.stop(grace=0.0)

    def stream(self, *, follow: bool = True) -> Iterator[LogChunk]:
        """Yield the bytes it wrote and, with `follow`, those it writes, until its log has ended."""
        try:
            return self._logs.stream_logs(self.execution_id, follow=follow)
        except LogError:  # it has ended: nothing more will come
            return self._stored()

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Yield the lines it wrote and, with `follow`, those it writes, until its log has ended."""
        return lines_of(self.stream(follow=follow))

    def begin(self, *, elapsed: float = 0.0) -> None:
        """Watch over the container from now on, in a thread of its own; `elapsed` seconds it has been running."""
        started = time.monotonic() - elapsed
        self.finish_by(lambda: self._see_to_its_end(started))

    def begin_ended(self, status: ContainerStatus, *, duration: float) -> None:
        """See one to its end whose container has ended already, after `duration` seconds."""
        self.finish_by(lambda: self._conclude(status, None, duration))

    def finish_by(self, course: Callable[[], ExecutionResult]) -> None:
        """Let `course` see it to its end, in a thread of its own."""
        name = f"botdock-{self.execution_id}"
        self._watcher = threading.Thread(target=self._watch, args=(course,), name=name, daemon=True)
        self._watcher.start()

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
        end = carried(self._end_persistently, execution_id=self.execution_id)
        seconds = self._grace if grace is None else grace
        threading.Thread(target=end, args=(why, seconds, failure), daemon=True).start()

    def _end_persistently(self, why: Outcome, grace: float, failure: str) -> None:
        while not self._end_quietly(why, grace, failure) and not self._done.wait(END_PAUSE):
            pass

    def _stored(self) -> Iterator[LogChunk]:
        return StoredLog(self._run.journal.logs).chunks()

    def _end(self, why: Outcome, grace: float, failure: str = "") -> None:
        def stop() -> None:
            self._containers.stop_container(self.container_id, grace=grace)

        with about(self.execution_id):  # whoever calls may be about another one
            self.ending.attempt(why, stop, failure=failure)

    def _end_quietly(self, why: Outcome, grace: float, failure: str = "") -> bool:
        """End it; return whether the engine could."""
        try:
            self._end(why, grace, failure)
        except BotdockError as error:
            logger.bind(execution_id=self.execution_id, error=error.message).warning("could not end the container")
            return False
        return True

    def _watch(self, course: Callable[[], ExecutionResult]) -> None:
        """See it to its end; whatever happens, there is a result afterwards, and nobody waits for ever."""
        with about(self.execution_id):
            try:
                self._result = self._outcome_of(course)
                self.ending.close()
                self._on_done(self._result)
            except Exception as error:  # noqa: BLE001 - whoever is told of the end must not keep it from others
                logger.bind(error=repr(error)).error("the end of an execution could not be told")
            finally:
                self.ending.close()
                self._done.set()

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

    def _see_to_its_end(self, started: float) -> ExecutionResult:
        status, lost = self._wait_for_exit(started)
        return self._conclude(status, lost, time.monotonic() - started)

    def _conclude(
        self, status: ContainerStatus | None, lost: tuple[Outcome, str] | None, duration: float
    ) -> ExecutionResult:
        self.ending.close()
        ended_by, failure = self.ending.reason(status)
        if lost is not None:
            ended_by, failure = lost[0], failure or lost[1]
        return self._conclusion.conclude(self._run, status, ended_by=ended_by, failure=failure, duration=duration)

    def _wait_for_exit(self, started: float) -> tuple[ContainerStatus | None, tuple[Outcome, str] | None]:
        """Wait until the container has ended, ending it when its wall time is over.

        Returns:
            How it ended; or why nobody can tell.
        """
        with self._conclusion.waiting(self._run):
            deadline = self._deadline(started)
            while True:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    ended = self._end_quietly(Outcome.TIMED_OUT, self._grace)
                    deadline = float("inf") if ended else time.monotonic() + END_PAUSE
                    continue
                try:
                    status = self._wait_once(min(remaining, WAIT_SLICE))
                except ContainerNotFoundError as error:
                    return None, (Outcome.LOST, f"the container is gone: {error.message}")
                except BotdockError as error:
                    return None, (Outcome.INFRASTRUCTURE_ERROR, error.message)
                if status is not None:
                    return status, None

    def _deadline(self, started: float) -> float:
        allowance = self._run.allowance
        return started + allowance.timeout if allowance and allowance.timeout is not None else float("inf")

    def _wait_once(self, timeout: float) -> ContainerStatus | None:
        """Wait for a slice; an engine that is away is given some time to come back."""
        give_up = time.monotonic() + self._reconnect_timeout
        while True:
            try:
                return self._containers.wait(self.container_id, timeout=timeout)
            except (EngineUnavailableError, EngineTimeoutError):
                if time.monotonic() >= give_up:
                    raise
                self._done.wait(RECONNECT_PAUSE)
