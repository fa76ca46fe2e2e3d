"""Compares engine, disk and leases: takes over executions whose runner died, each exactly once.

Only executions of this engine, whose runner is dead, are touched, by what is on disk, and by what the engine says:

    concluded.json                 store what is left, clean up, write the outcome
    a record that is damaged       end it, for what it was to do cannot be known; its log is closed where it stands
    no run.json                    no container can be there: the bot was never started
    its container never started    the same; it goes
    its container is gone          lost: how it ended cannot be known; the log is closed where it stands
    its container runs             adopt it: go on with its log, its wall time, and an ending that was under way
    its container has ended        the same, and it finishes at once

A record that cannot be read now is left alone; one that is damaged for good is ended, with what is known of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from botdock._boot_clock import seconds_since
from botdock._log import about, logger
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.executions._files import (
    EXECUTIONS,
    execution_ids,
    is_orphan,
    read_events,
    read_json,
)
from botdock.executions._lease import Lease, claiming
from botdock.model import ContainerHandle, ContainerInfo, ContainerState, ContainerStatus, Outcome
from botdock.model.container import LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.deadlines import elapsed_of
from botdock.orchestrator.documents import RECOVERED, read_concluded, read_run
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import tidy_up
from botdock.orchestrator.preparation import Preparation, Setting
from botdock.orchestrator.run import Created, Run
from botdock.orchestrator.strays import dead_members, engine_of, sweep, sweep_pools
from botdock.services.interfaces import Services
from botdock.services.log_store import LogWriter, StoredLog

Events = Sequence[Mapping[str, Any]]
ENGINE_PATIENCE = 2.0
"""Seconds after which an engine has made or started a container, as a runner told it that did not live to hear so."""
_PAUSE = 0.1
_TIMES = 20
"""How many takeovers the evidence gives the times of."""
_LOST = "its container is gone, and its runner died before it knew how it ended"
_NEVER_STARTED = "its runner died before the bot was started"
_DAMAGED = "its runner died, and its record is damaged, so that it could not go on"


class Recovery:
    """Brings one state folder and one engine to agree.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        lease: Of the runner that takes over.
        preparation: Collects logs.
        conclusion: Sees executions to their end.
        adopt: Makes the execution of a run, and adds it to those that run.
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
        adopt: Callable[[Run], Execution],
    ) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._lease = lease
        self._preparation = preparation
        self._conclusion = conclusion
        self._adopt = adopt

    def recover(self, only: Collection[str] | None = None) -> list[Execution]:
        """Take over what there is to take over, the oldest first; what has ended already is finished meanwhile.

        Args:
            only: Which executions, by their ids; None for all.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.
        """
        containers = self.containers()
        tidy_up(self._home)
        folders = [self._home / EXECUTIONS / name for name in execution_ids(self._home)]
        orphans = [one for one in folders if (only is None or one.name in only) and is_orphan(one)]
        for directory in orphans:
            if not self._is_ours(directory):
                bound = logger.bind(execution_id=directory.name, engine=engine_of(directory))
                bound.warning("an execution was not recovered: it was run on another engine")
        executions = self._take(orphans, containers)
        sweep(self._services, self._home, self._setting.engine, containers)
        sweep_pools(self._services, self._home, containers)
        return executions

    def look(self, owed: Iterable[Path], *, strays: bool) -> list[Execution]:
        """Take over those that are over, so that only clean-up is left of them; remove what dead runners kept waiting.

        With `strays`, look for those, too.

        Raises:
            BotdockError: The engine does not answer.
        """
        owed = [one for one in owed if is_orphan(one) and self._is_ours(one)]
        containers = self.containers() if owed or strays or dead_members(self._home) else ()
        executions = self._take(owed, containers)
        sweep_pools(self._services, self._home, containers)
        if strays:
            sweep(self._services, self._home, self._setting.engine, containers)
        return executions

    def containers(self) -> Sequence[ContainerInfo]:
        """Return the containers of this state folder; raises as the engine does."""
        return self._services.containers.list_containers({LABEL_OWNER: self._setting.owner})

    def _take(self, directories: Iterable[Path], containers: Sequence[ContainerInfo]) -> list[Execution]:
        known = {info.execution_id: info for info in containers}
        taken = [self._take_over(one, known.get(one.name)) for one in directories if self._is_ours(one)]
        return [execution for execution in taken if execution is not None]

    def _is_ours(self, directory: Path) -> bool:
        return engine_of(directory) in {None, self._setting.engine}

    def _take_over(self, directory: Path, container: ContainerInfo | None) -> Execution | None:
        """Take over one execution, by its folder and container; None when another was quicker, or it cannot be now."""
        with about(directory.name):
            try:
                with claiming(directory) as ours:
                    if not ours or not is_orphan(directory):
                        return None
                    run = read_run(directory, container, self._setting, self._services.entrypoints)
                    status = self._locate(run, container)
                    run.journal.reopen(self._lease.hold())
                    try:
                        return self._begin(run, status)
                    except Exception as error:  # noqa: BLE001 - an odd value in a record must not hinder the others
                        logger.bind(error=repr(error)).warning("what its record says could not be followed")
                        run.damage = run.damage or repr(error)
                        return self._begin(run, status)
            except OSError as error:
                logger.bind(error=str(error)).warning("an execution was not recovered: its record cannot be read now")
            except BotdockError as error:
                logger.bind(error=error.message).warning("an execution was not recovered")
        return None

    def _locate(self, run: Run, container: ContainerInfo | None) -> ContainerStatus | None:
        """Find out how its container stands; None when there is none.

        What its dead runner told the engine, and did not live to hear of, may still be under way: it is waited for.

        Raises:
            BotdockError: The engine does not say.
        """
        containers = self._services.containers
        if container is None and run.container is None and run.written:  # else it had not come so far
            ours = {LABEL_OWNER: self._setting.owner, LABEL_EXECUTION: run.execution_id}
            for _ in _while_late(run.written):
                if found := containers.list_containers(ours):
                    container = found[0]
                    break
        if container is not None and container.container_id != run.container_id:  # the engine knows better
            run.container = ContainerHandle(id=container.container_id)
        if run.container is None:
            return None
        with suppress(ContainerNotFoundError):
            status = containers.get_container_status(run.container)
            for _ in _while_late(run.started):
                if status.state is not ContainerState.CREATED:
                    break
                status = containers.get_container_status(run.container)
            return status
        return None

    def _begin(self, run: Run, status: ContainerStatus | None) -> Execution:
        """Go on with a run, whose container stands like that (None: there is none), in another thread."""
        events = [] if run.damage else list(read_events(run.journal.directory))
        run.evidence[RECOVERED] = _takeovers(events)
        run.journal.event(RECOVERED)
        if not run.damage:
            run.storing = self._preparation.storing(run)
        if run.storing:
            run.storing.restore(read_json(run.journal.marker))
        execution = self._adopt(run)
        execution.attempts.restore(events, member=bool(run.member))
        created = Created(plan=run.plan, container=run.container) if run.plan and run.container else None
        if (result := read_concluded(run)) is not None:
            execution.attempts.close()
            execution.finish_by(partial(self._conclusion.resume, run, result))
        elif run.damage:
            execution.attempts.close()
            self._end_damaged(run, execution, status)
        elif created is None or status is None or status.state is ContainerState.CREATED or not run.was_told:
            self._end_unseen(run, created, execution, events, gone=status is None and run.was_told)
        else:
            self._go_on(run, created, execution, status)
        logger.bind(state=status and status.state.value).info("took over an execution whose runner had died")
        return execution

    def _end_damaged(self, run: Run, execution: Execution, status: ContainerStatus | None) -> None:
        """Finish one whose record does not say what was asked for, or what its runner was at."""
        _close_log(run)
        found = {"state": status.state.value, "exit_code": status.exit_code} if status else None
        said = f"{_DAMAGED}: {run.damage}"
        execution.finish_by(partial(self._conclusion.aborted, run, said, damaged=run.damage, container=found))

    def _end_unseen(
        self, run: Run, created: Created | None, execution: Execution, events: Events, *, gone: bool
    ) -> None:
        """Finish what was never started, or whose container is gone."""
        _close_log(run)
        if gone and created is not None and run.started_ns:
            execution.ended(created, None, duration=0.0, lost=(Outcome.LOST, _LOST))
            return
        phases = [str(entry["phase"]) for entry in events if entry.get("event") == "phase" and "phase" in entry]
        phase = phases[-1] if phases else None
        execution.finish_by(partial(self._conclusion.aborted, run, _NEVER_STARTED, phase=phase))

    def _go_on(self, run: Run, created: Created, execution: Execution, status: ContainerStatus) -> None:
        """Go on with what its runner did: its log, its wall time, its ending."""
        exited = status.state is ContainerState.EXITED
        elapsed = elapsed_of(run, status)
        if problem := self._continue_log(run, created, execution, exited=exited):
            ours = (Outcome.INFRASTRUCTURE_ERROR, problem)
            execution.ended(created, status if exited else None, duration=elapsed, lost=ours)
            return
        if exited:
            execution.ended(created, status, duration=elapsed)
            return
        if (ending := execution.attempts.take_up()) is not None and (why := ending.why) is not None:
            asked_kindly = why in {Outcome.STOPPED, Outcome.TIMED_OUT}
            execution.end_soon(why, grace=None if asked_kindly else 0.0, timeout=ending.timeout)
        execution.begin(created, elapsed=elapsed)

    def _continue_log(self, run: Run, created: Created, execution: Execution, *, exited: bool) -> str:
        """Go on with the log where it stands; return why that cannot be, or an empty text."""
        if StoredLog(run.journal.logs).ended:
            return "" if exited else "its log was closed while it ran"
        if run.unmasked:
            _close_log(run)
            return run.unmasked
        try:
            self._preparation.collect(run, created, None, execution.end_soon)
        except BotdockError as error:
            return error.message
        return ""


def _close_log(run: Run) -> None:
    """Let what is stored of a log be all of it."""
    if not run.journal.logs.is_dir() or StoredLog(run.journal.logs).ended:
        return
    try:
        with closing(LogWriter(run.journal.logs)) as writer:
            writer.finish(complete=False)
    except (BotdockError, OSError) as error:
        logger.bind(error=str(error)).warning("the log could not be closed")


def _while_late(since: object) -> Iterator[None]:
    """Yield now and then until `ENGINE_PATIENCE` after that moment, and once at least."""
    while True:
        yield
        passed = seconds_since(since)
        if passed is None or passed >= ENGINE_PATIENCE:  # of another boot: it is not under way any more
            break
        time.sleep(_PAUSE)


def _takeovers(events: Events) -> dict[str, Any]:
    """Return the evidence: how often it was taken over, this time too, and when."""
    times = [int(entry["time_ns"]) for entry in events if entry.get("event") == RECOVERED and "time_ns" in entry]
    times.append(time.time_ns())
    at = [datetime.fromtimestamp(moment / 1e9, UTC).isoformat(timespec="milliseconds") for moment in times[-_TIMES:]]
    return {"times": len(times), "at": at}
