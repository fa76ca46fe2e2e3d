"""Takes over the executions of runners that died: adopts what runs, finishes what has ended, each exactly once.

What is to be done with an execution depends on what is on disk and on what the engine says:

    concluded.json               store what is left, clean up, write the outcome
    no run.json                  no container can be there: the bot was never started
    its container was not started, or is gone before that    the same
    its container is gone        lost: nobody can say how it ended; the log is closed where it stands
    its container runs           adopt it: go on with its log, its wall time, and an ending that was under way
    its container has ended      the same, and it finishes at once

Only executions of this engine, whose runner is dead, are touched. One whose record is damaged is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from botdock._log import about, logger
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.model import ContainerState, ContainerStatus, ExecutionResult, LogCursor, LogStream, Outcome, Phase
from botdock.model.container import LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import CONCLUDED, STORED, Journal, sweep_drafts, tidy
from botdock.orchestrator.lease import HOLDER, Lease, claiming, holder_lives
from botdock.orchestrator.phases import PhaseClock
from botdock.orchestrator.preparation import Preparation, Services, Setting
from botdock.orchestrator.records import EXECUTIONS, OUTCOME, REQUEST, RUN, ExecutionRecord, execution_ids
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import executable_of, read_secrets, restore, result_of
from botdock.services.code import Workspace
from botdock.services.log_store import StoredLog

CREATE_PATIENCE = 2.0
"""Seconds after which a container is there that an engine was told to make by a runner that did not live to hear so."""
_PAUSE = 0.1
_TIMES = 20
"""How many takeovers the evidence gives the times of."""
RECOVERED = "recovered"
"""The event, and the evidence: how often somebody took over, and when."""

Course = Callable[[], ExecutionResult]


class Recovery:
    """Takes over what dead runners left in one state folder.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        lease: Of the runner that takes over.
        preparation: Collects logs, and knows how to clean up.
        conclusion: Sees executions to their end.
        make: Makes, and keeps, the execution of a run.
    """

    def __init__(
        self,
        services: Services,
        setting: Setting,
        *,
        home: Path,
        lease: Lease,
        preparation: Preparation,
        conclusion: Conclusion,
        make: Callable[[Run], Execution],
    ) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._lease = lease
        self._preparation = preparation
        self._conclusion = conclusion
        self._make = make

    def recover(self) -> list[Execution]:
        """Take over what there is to take over, the oldest first; what has ended already is finished meanwhile.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.
        """
        containers = self._containers({})
        sweep_drafts(self._home)
        found = (self._recover_one(record, containers) for record in self._orphans())
        executions = [execution for execution in found if execution is not None]
        self._lease.sweep()
        return executions

    def _containers(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the identities of our containers by execution."""
        infos = self._services.containers.list_containers({LABEL_OWNER: self._setting.owner, **labels})
        return {info.execution_id: info.container_id for info in infos}

    def _orphans(self) -> Iterator[ExecutionRecord]:
        """Yield the executions without an outcome that no living runner holds, and that are this engine's."""
        for execution_id in execution_ids(self._home):
            directory = self._home / EXECUTIONS / execution_id
            if (directory / OUTCOME).exists():
                if (directory / HOLDER).exists():  # its runner died over the last of its work
                    tidy(directory)
            elif not holder_lives(directory):
                record = ExecutionRecord.at(directory)
                engine = record.request.get("engine")
                if engine == self._setting.engine:
                    yield record
                else:
                    said = f"it was run on {engine!r}" if engine else "its request cannot be read"
                    logger.bind(execution_id=execution_id, reason=said).warning("an execution was not recovered")

    def _recover_one(self, record: ExecutionRecord, containers: Mapping[str, str]) -> Execution | None:
        with about(record.execution_id), claiming(record.directory) as ours:
            if not ours or (record.directory / OUTCOME).exists() or holder_lives(record.directory):
                return None  # somebody else was quicker
            try:
                run = self._read(record)
                status = self._locate(run, containers)
                run.journal.reopen(self._lease.hold())
            except (ValueError, OSError) as error:
                logger.bind(error=str(error)).warning("an execution was not recovered: its record is damaged")
            except BotdockError as error:
                logger.bind(error=error.message).warning("an execution was not recovered")
            else:
                return self._take_over(run, status)
        return None

    def _read(self, record: ExecutionRecord) -> Run:
        """Return the run as its runner left it.

        Raises:
            ValueError: The record is damaged.
        """
        journal = Journal(self._home, record.execution_id)
        run = Run(
            execution_id=record.execution_id,
            executable=executable_of(record.request, {}),
            engine=self._setting.engine,
            journal=journal,
            clock=PhaseClock(lambda phase: journal.event("phase", phase=phase.value)),
            progress=lambda _progress: None,
        )
        document = journal.read(RUN)
        if document is not None:
            restore(run, document)
            run.runtime = self._runtime(str(document.get("runtime")))
        elif journal.workspace.exists():
            run.workspace = Workspace.at(journal.workspace.absolute())
        return run

    def _runtime(self, name: str) -> Any:
        try:
            return self._services.entrypoints.validate_runtime(name)
        except BotdockError as error:
            raise ValueError(error.message) from error

    def _locate(self, run: Run, containers: Mapping[str, str]) -> ContainerStatus | None:
        """Find out how its container stands; None when there is none.

        Raises:
            ValueError: There is one, but nothing that says what to do with it.
            BotdockError: The engine does not say.
        """
        listed = containers.get(run.execution_id)
        if run.allowance is None:
            if listed is not None:
                raise ValueError("it has a container, and no run.json that can be read")
            return None
        run.container_id = listed or run.container_id or self._late(run) or ""
        try:
            return self._services.containers.get_container_status(run.container_id) if run.container_id else None
        except ContainerNotFoundError:
            return None

    def _late(self, run: Run) -> str | None:
        """Look for a container that may still be on its way: its runner did not live to hear of it."""
        asked = (run.journal.directory / RUN).stat().st_mtime
        for _ in range(round(CREATE_PATIENCE / _PAUSE) + 1):
            found = self._containers({LABEL_EXECUTION: run.execution_id}).get(run.execution_id)
            if found is not None or time.time() - asked >= CREATE_PATIENCE:
                return found
            time.sleep(_PAUSE)
        return None

    def _take_over(self, run: Run, status: ContainerStatus | None) -> Execution:
        events = list(run.journal.events())
        run.evidence[RECOVERED] = _takeovers(events)
        run.journal.event(RECOVERED)
        run.storing = self._preparation.storing(run)
        if run.storing:
            run.storing.restore(run.journal.read(STORED))
        execution = self._make(run)
        execution.ending.restore(events)
        if (result := self._concluded(run)) is not None:
            execution.finish_by(partial(self._conclusion.resume, run, result))
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
            result = result_of(document)
        except ValueError as error:
            logger.bind(error=str(error)).warning("it is concluded once more")
            return None
        run.clock.seconds.update(result.phases)
        return attrs.evolve(result, evidence={**result.evidence, RECOVERED: run.evidence[RECOVERED]})

    def _ended_unseen(
        self, run: Run, execution: Execution, events: Iterable[Mapping[str, Any]], *, gone: bool
    ) -> Course:
        """Return how to finish what was never started, or whose container is gone."""
        self._close_log(run, execution)
        if gone and run.started_ns:
            return partial(self._conclusion.conclude, run, None, ended_by=Outcome.LOST, failure=_LOST, duration=0.0)
        phases = [str(entry["phase"]) for entry in events if entry.get("event") == "phase" and "phase" in entry]
        return partial(self._conclusion.aborted, run, _NEVER_STARTED, phase=phases[-1] if phases else None)

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
            why = Outcome.INFRASTRUCTURE_ERROR
            execution.finish_by(
                partial(self._conclusion.conclude, run, known, ended_by=why, failure=problem, duration=elapsed)
            )
            return
        if not exited and (why_again := execution.ending.take_up()) is not None:
            asked_kindly = why_again in {Outcome.STOPPED, Outcome.TIMED_OUT}
            execution.end_soon(why_again, grace=self._setting.config.runtime.grace if asked_kindly else 0.0)
        execution.begin(elapsed=0.0 if exited else elapsed)

    def _continue_log(self, run: Run, execution: Execution, *, exited: bool) -> str:
        """Go on with the log where it stands; return why that cannot be, or an empty text."""
        if StoredLog(run.journal.logs).ended:
            return "" if exited else "its log was closed while it ran"
        assert run.workspace is not None, "restored"  # noqa: S101 - for the type checker
        try:
            names = (run.journal.read(REQUEST) or {}).get("secrets") or []
            secrets = read_secrets(run.workspace.files, names)
            run.executable = attrs.evolve(run.executable, secrets=secrets)
        except (ValueError, BotdockError) as error:
            self._close_log(run, execution)
            return f"its secrets could not be masked in what it writes: {error}"
        try:
            self._preparation.collect(run, None, execution)
        except BotdockError as error:
            return error.message
        return ""


_LOST = "its container is gone, and its runner died before it knew how it ended"
_NEVER_STARTED = "its runner died before the bot was started"


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
