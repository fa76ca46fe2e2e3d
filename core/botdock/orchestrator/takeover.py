"""Sees to its end what a runner has left that died: by what is on disk, and by what the engine says of the container.

    concluded.json                 store what is left, clean up, write the outcome
    a record that is damaged       end it, for what it was to do cannot be known; its log is closed where it stands
    no run.json                    no container can be there: the bot was never started
    its container never started    the same; it goes
    its container is gone          lost: nobody can say how it ended; the log is closed where it stands
    its container runs             adopt it: go on with its log, its wall time, and an ending that was under way
    its container has ended        the same, and it finishes at once

The execution is the successor's by then; nothing here asks whose it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs

from botdock._log import logger
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.executions._files import CONCLUDED, REQUEST
from botdock.model import ContainerState, ContainerStatus, ExecutionResult, LogCursor, LogStream, Outcome, Phase
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import STORED
from botdock.orchestrator.preparation import Preparation
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import read_secrets, result_of
from botdock.services.log_store import LogWriter, StoredLog

RECOVERED = "recovered"
"""The event, and the evidence: how often somebody took over, and when."""
_TIMES = 20
"""How many takeovers the evidence gives the times of."""
_LOST = "its container is gone, and its runner died before it knew how it ended"
_NEVER_STARTED = "its runner died before the bot was started"
_DAMAGED = "its runner died, and its record is damaged, so that it could not go on"

Course = Callable[[], ExecutionResult]


class Takeover:
    """Goes on with runs whose runner died.

    Args:
        preparation: Collects logs, and knows how to clean up.
        conclusion: Sees executions to their end.
        make: Makes, and keeps, the execution of a run.
        grace: Seconds between asking a bot to end and killing it.
    """

    def __init__(
        self, preparation: Preparation, conclusion: Conclusion, *, make: Callable[[Run], Execution], grace: float
    ) -> None:
        self._preparation = preparation
        self._conclusion = conclusion
        self._make = make
        self._grace = grace

    def begin(self, run: Run, status: ContainerStatus | None) -> Execution:
        """Go on with a run, whose container stands like that (None: there is none), in another thread."""
        events = [] if run.damage else list(run.journal.events())
        run.evidence[RECOVERED] = _takeovers(events)
        run.journal.event(RECOVERED)
        if not run.damage:
            _restore_secrets(run)
            run.storing = self._preparation.storing(run)
        if run.storing:
            run.storing.restore(run.journal.read(STORED))
        execution = self._make(run)
        execution.ending.restore(events)
        if (result := self._concluded(run)) is not None:
            execution.ending.close()
            execution.finish_by(partial(self._conclusion.resume, run, result))
        elif run.damage:
            execution.ending.close()
            execution.finish_by(self._damaged(run, status))
        elif status is None or status.state is ContainerState.CREATED:
            execution.finish_by(self._ended_unseen(run, execution, events, gone=status is None))
        else:
            self._adopt(run, execution, status)
        logger.bind(state=status and status.state.value).info("took over an execution whose runner had died")
        return execution

    def _concluded(self, run: Run) -> ExecutionResult | None:
        document = run.journal.read(CONCLUDED)
        if document is None:
            return None
        try:
            result = result_of(document, run.journal.value)
            run.clock.seconds.update(result.phases)
            evidence = {**result.evidence, RECOVERED: run.evidence[RECOVERED]}
            return attrs.evolve(result, execution_id=run.execution_id, evidence=evidence)
        except (ValueError, TypeError) as error:
            logger.bind(error=str(error)).warning("it is concluded once more")
            return None

    def _ended_unseen(
        self, run: Run, execution: Execution, events: Iterable[Mapping[str, Any]], *, gone: bool
    ) -> Course:
        """Return how to finish what was never started, or whose container is gone."""
        self._close_log(run, execution)
        if gone and run.started_ns:
            return partial(self._conclusion.conclude, run, None, ended_by=Outcome.LOST, failure=_LOST, duration=0.0)
        phases = [str(entry["phase"]) for entry in events if entry.get("event") == "phase" and "phase" in entry]
        return partial(self._conclusion.aborted, run, _NEVER_STARTED, phase=phases[-1] if phases else None)

    def _damaged(self, run: Run, status: ContainerStatus | None) -> Course:
        """Return how to finish one whose record does not say what was asked for, or what its runner was at."""
        if run.journal.logs.is_dir() and not StoredLog(run.journal.logs).ended:
            try:
                with closing(LogWriter(run.journal.logs)) as writer:
                    writer.finish(complete=False)
            except (BotdockError, OSError) as error:
                logger.bind(error=str(error)).warning("the log could not be closed")
        found = {"state": status.state.value, "exit_code": status.exit_code} if status else None
        return partial(self._conclusion.aborted, run, f"{_DAMAGED}: {run.damage}", damaged=run.damage, container=found)

    def _close_log(self, run: Run, execution: Execution) -> None:
        """Let what is stored of a log be all of it."""
        if run.runtime is None or not run.journal.logs.is_dir() or StoredLog(run.journal.logs).ended:
            return
        try:
            self._preparation.collect(run, None, execution, reopen=_no_more)
        except BotdockError as error:
            logger.bind(error=error.message).warning("the log could not be closed")

    def _adopt(self, run: Run, execution: Execution, status: ContainerStatus) -> None:
        """Go on with what its runner did: its log, its wall time, its ending."""
        exited = status.state is ContainerState.EXITED
        elapsed = _elapsed(run, status)
        run.clock.seconds[Phase.WAIT.value] = elapsed
        if problem := self._continue_log(run, execution, exited=exited):
            known = status if exited else None
            ours = Outcome.INFRASTRUCTURE_ERROR
            execution.finish_by(
                partial(self._conclusion.conclude, run, known, ended_by=ours, failure=problem, duration=elapsed)
            )
            return
        if exited:
            execution.begin_ended(status, duration=elapsed)
            return
        if (why := execution.ending.take_up()) is not None:
            asked_kindly = why in {Outcome.STOPPED, Outcome.TIMED_OUT}
            execution.end_soon(why, grace=self._grace if asked_kindly else 0.0)
        execution.begin(elapsed=elapsed)

    def _continue_log(self, run: Run, execution: Execution, *, exited: bool) -> str:
        """Go on with the log where it stands; return why that cannot be, or an empty text."""
        if StoredLog(run.journal.logs).ended:
            return "" if exited else "its log was closed while it ran"
        if run.unmasked:
            self._close_log(run, execution)
            return run.unmasked
        try:
            self._preparation.collect(run, None, execution)
        except BotdockError as error:
            return error.message
        return ""


def _restore_secrets(run: Run) -> None:
    """Learn the secrets of a run; they are in its own files alone."""
    names = (run.journal.read(REQUEST) or {}).get("secrets") or []
    if names and run.workspace is not None:
        try:
            run.executable = attrs.evolve(run.executable, secrets=read_secrets(run.workspace.context, names))
        except (ValueError, BotdockError) as error:
            run.unmasked = f"its secrets could not be masked in what it says: {error}"


def _takeovers(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the evidence: how often somebody took over, this time too, and when."""
    times = [int(entry["time_ns"]) for entry in events if entry.get("event") == RECOVERED and "time_ns" in entry]
    times.append(time.time_ns())
    at = [datetime.fromtimestamp(moment / 1e9, UTC).isoformat(timespec="milliseconds") for moment in times[-_TIMES:]]
    return {"times": len(times), "at": at}


def _elapsed(run: Run, status: ContainerStatus) -> float:
    """Return how many seconds it has run, by the wall clock: no other one outlives a runner."""
    started = status.started_at.timestamp() if status.started_at else run.started_ns / 1e9
    until = status.finished_at.timestamp() if status.finished_at else time.time()
    return max(until - started, 0.0)


def _no_more(_cursor: LogCursor) -> LogStream:
    raise ContainerNotFoundError("its container is gone, or was never started")
