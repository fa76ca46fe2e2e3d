"""Finds the executions of runners that died, and makes each of them this runner's, exactly once.

Only executions of this engine, whose runner is dead, are touched. One whose record is damaged is left alone, and
hinders no other. What becomes of those that were found, `takeover` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from botdock._log import about, logger
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.model import ContainerState, ContainerStatus, Runtime
from botdock.model.container import LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import Journal, sweep_drafts, tidy
from botdock.orchestrator.lease import HOLDER, Lease, claiming
from botdock.orchestrator.phases import PhaseClock
from botdock.orchestrator.preparation import Services, Setting
from botdock.orchestrator.records import EXECUTIONS, OUTCOME, RUN, ExecutionRecord, execution_ids, is_orphan
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import executable_of, restore
from botdock.orchestrator.takeover import Takeover
from botdock.services.code import Workspace

ENGINE_PATIENCE = 2.0
"""Seconds after which an engine has made or started a container, as a runner told it that did not live to hear so."""
_PAUSE = 0.1


class Recovery:
    """Takes over what dead runners left in one state folder.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        lease: Of the runner that takes over.
        takeover: Goes on with what was found.
    """

    def __init__(self, services: Services, setting: Setting, *, home: Path, lease: Lease, takeover: Takeover) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._lease = lease
        self._takeover = takeover

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
            if is_orphan(directory):
                record = ExecutionRecord.at(directory)
                engine = record.request.get("engine")
                if engine == self._setting.engine:
                    yield record
                elif directory.exists():  # else its runner took it back just now: it came to nothing
                    said = f"it was run on {engine!r}" if engine else "its request cannot be read"
                    logger.bind(execution_id=execution_id, reason=said).warning("an execution was not recovered")
            elif (directory / OUTCOME).exists() and (directory / HOLDER).exists():
                tidy(directory)  # its runner died over the last of its work, or is about to do the same

    def _recover_one(self, record: ExecutionRecord, containers: Mapping[str, str]) -> Execution | None:
        with about(record.execution_id), claiming(record.directory) as ours:
            if not ours or not is_orphan(record.directory):
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
                return self._takeover.begin(run, status)
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
            storage=str(record.request.get("storage") or self._setting.config.storage),
            journal=journal,
            clock=PhaseClock(lambda phase: journal.event("phase", phase=phase.value)),
            progress=lambda _progress: None,
            credentials=self._setting.credentials,
        )
        document = journal.read(RUN)
        if document is not None:
            restore(run, document)
            run.runtime = self._runtime(str(document.get("runtime")))
        elif journal.workspace.exists():
            run.workspace = Workspace.at(journal.workspace.absolute())
        return run

    def _runtime(self, name: str) -> Runtime:
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
            return self._status(run) if run.container_id else None
        except ContainerNotFoundError:
            return None

    def _late(self, run: Run) -> str | None:
        """Look for a container that may still be on its way: its runner did not live to hear of it."""
        found = None
        for _ in _while_late((run.journal.directory / RUN).stat().st_mtime):
            found = self._containers({LABEL_EXECUTION: run.execution_id}).get(run.execution_id)
            if found is not None:
                break
        return found

    def _status(self, run: Run) -> ContainerStatus:
        """Look how the container stands; one that is about to be started is waited for, for the same reason."""
        status = self._services.containers.get_container_status(run.container_id)
        for _ in _while_late(run.started_ns / 1e9):
            if status.state is not ContainerState.CREATED:
                break
            status = self._services.containers.get_container_status(run.container_id)
        return status


def _while_late(since: float) -> Iterator[None]:
    """Yield now and then until `ENGINE_PATIENCE` after that time, and once at least; no longer if the clock is set."""
    for _ in range(round(ENGINE_PATIENCE / _PAUSE) + 1):
        yield
        if time.time() - since >= ENGINE_PATIENCE:
            break
        time.sleep(_PAUSE)
