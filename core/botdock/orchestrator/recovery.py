"""Finds the executions of runners that died, and makes each of them this runner's, exactly once.

Only executions of this engine, whose runner is dead, are touched, and strays with the label of this state folder, of
which `upkeep` says more. A record that cannot be read now is left alone; one that is damaged for good is ended, with
what is known of it. What becomes of those that were found, `takeover` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock._log import about, logger
from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.executions._files import (
    CONCLUDED,
    EXECUTIONS,
    OUTCOME,
    REQUEST,
    RUN,
    execution_ids,
    is_orphan,
    is_owed,
    left_behind,
    load_json,
    owed_folders,
    read_json,
)
from botdock.executions._lease import HOLDER, Lease, claiming, holder_lives
from botdock.model import ContainerHandle, ContainerInfo, ContainerState, ContainerStatus, Executable
from botdock.model.container import LABEL_EXECUTABLE, LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import Journal, sweep_drafts, tidy
from botdock.orchestrator.preparation import Services, Setting
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import executable_of, restore
from botdock.orchestrator.takeover import Takeover
from botdock.orchestrator.upkeep import Leftover, Sightings, strays, sweep
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
        executions = self._take(self._orphans(), containers)
        self._lease.sweep()
        sweep(self._services, self._home, self._setting.engine, containers)
        return executions

    def look(self, *, strays: bool) -> list[Execution]:
        """Take over what is over, so that only clean-up is left of it, and, if wanted, remove strays.

        Raises:
            BotdockError: The engine does not answer.
        """
        over = [directory for directory in owed_folders(self._home) if is_orphan(directory)]
        owed = [directory for directory in over if self._engine_of(directory) in {None, self._setting.engine}]
        containers = self._containers({}) if owed or strays else ()
        executions = self._take(owed, containers)
        if strays:
            sweep(self._services, self._home, self._setting.engine, containers)
        return executions

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over or remove, and what is owed by runners that live; changes nothing.

        Raises:
            BotdockError: The engine does not answer.
        """
        containers = self._containers({})
        known = {info.execution_id: info for info in containers}
        found = []
        for directory in self._directories():
            if is_owed(directory) or is_orphan(directory):
                reason, action = self._intention(directory, known.get(directory.name))
                name = directory.name
                found.append(Leftover(kind="execution", name=name, execution_id=name, reason=reason, action=action))
        sightings = Sightings(self._home, self._setting.engine)
        for stray in strays(self._home, containers):
            due = sightings.due(stray)
            action = "remove it" if due <= 0 else f"remove it when it is seen again in {due:.0f} s or later"
            found.append(attrs.evolve(stray, action=action))
        return found

    def _intention(self, directory: Path, container: ContainerInfo | None) -> tuple[str, str]:
        """Return why an execution is not finished, and what `recover` would do about it."""
        left = "; ".join(left_behind(directory)) or "it was being cleaned up"
        if holder_lives(directory):
            return f"it is over, and not all of it could be removed: {left}", "its runner tries again"
        reason = f"it is over: {left}" if is_owed(directory) else "its runner died"
        if self._engine_of(directory) not in {None, self._setting.engine}:
            return reason, f"leave it to `recover --engine {self._engine_of(directory)}`"
        runs = container is not None and container.state is not ContainerState.EXITED
        if is_owed(directory):
            return reason, "end and remove its container, finish it" if runs else "finish it"
        try:
            for name in (REQUEST, RUN):
                load_json(directory / name)
        except ValueError as error:
            return f"{reason}; {error}", "end it, for what it was to do is not known"
        return reason, "adopt it, for it still runs" if runs else "finish it"

    def _containers(self, selectors: Mapping[str, str]) -> Sequence[ContainerInfo]:
        """Return our containers."""
        return self._services.containers.list_containers({LABEL_OWNER: self._setting.owner, **selectors})

    def _directories(self) -> list[Path]:
        return [self._home / EXECUTIONS / execution_id for execution_id in execution_ids(self._home)]

    def _orphans(self) -> Iterator[Path]:
        """Yield the executions without an outcome that no living runner holds, and that are this engine's."""
        for directory in self._directories():
            if is_orphan(directory):
                if self._is_ours(directory):
                    yield directory
            elif (directory / OUTCOME).exists() and (directory / HOLDER).exists():
                tidy(directory)  # its runner died over the last of its work, or is about to do the same

    def _is_ours(self, directory: Path) -> bool:
        """Tell whether an execution is this engine's, or its record does not say whose it is."""
        engine = self._engine_of(directory)
        if engine in {None, self._setting.engine}:
            return directory.exists()  # else its runner took it back just now: it came to nothing
        said = f"it was run on {engine!r}"
        logger.bind(execution_id=directory.name, reason=said).warning("an execution was not recovered")
        return False

    @staticmethod
    def _engine_of(directory: Path) -> str | None:
        """Return the engine of an execution, from whichever of its documents says so."""
        documents = (read_json(directory / REQUEST), read_json(directory / RUN))
        events = Journal(directory.parent.parent, directory.name).events()
        opened = (event for event in events if event.get("event") == "opened")
        for document in (*documents, next(opened, None)):
            if document and isinstance(document.get("engine"), str):
                return str(document["engine"])
        return None

    def _take(self, directories: Iterable[Path], containers: Sequence[ContainerInfo]) -> list[Execution]:
        known = {info.execution_id: info for info in containers}
        found = [self._recover_one(directory, known.get(directory.name)) for directory in directories]
        return [execution for execution in found if execution is not None]

    def _recover_one(self, directory: Path, container: ContainerInfo | None) -> Execution | None:
        with about(directory.name):
            try:
                with claiming(directory) as ours:
                    if not ours or not is_orphan(directory):
                        return None  # another runner was quicker
                    run = self._read(directory, container)
                    status = self._locate(run, container)
                    run.journal.reopen(self._lease.hold())
                    return self._begin(run, status)
            except OSError as error:
                logger.bind(error=str(error)).warning("an execution was not recovered: its record cannot be read now")
            except BotdockError as error:
                logger.bind(error=error.message).warning("an execution was not recovered")
        return None

    def _begin(self, run: Run, status: ContainerStatus | None) -> Execution:
        try:
            return self._takeover.begin(run, status)
        except Exception as error:  # noqa: BLE001 - a value that none of us ever wrote: no other may suffer from it
            logger.bind(error=repr(error)).warning("what its record says could not be followed")
            run.damage = run.damage or repr(error)
            return self._takeover.begin(run, status)

    def _read(self, directory: Path, container: ContainerInfo | None) -> Run:
        """Return the run as its runner left it; `damage` says what of that cannot be read.

        Raises:
            OSError: It cannot be read now.
            BotdockError: What it needs is not installed here.
        """
        journal = Journal(self._home, directory.name)
        request: Mapping[str, Any] = {}
        damage = []
        try:
            request = journal.load(REQUEST) or {}
            executable = executable_of(request, {})
        except ValueError as error:
            damage.append(str(error))
            executable = _unknown(directory, container)
        storage = str(request.get("storage") or self._setting.config.storage)
        credentials = self._setting.credentials
        run = Run.of(journal, executable, engine=self._setting.engine, storage=storage, credentials=credentials)
        run.workspace = Workspace.at(journal.workspace.absolute())
        try:
            self._restore(run, journal.load(RUN))
        except ValueError as error:
            damage.append(str(error))
        # whatever is written there: what is removed lies in its folder
        run.workspace = attrs.evolve(Workspace.at(journal.workspace.absolute()), code=run.workspace.code)
        if container is not None and run.allowance is None and not damage:
            damage.append("it has a container, and no run.json")
        run.damage = "; ".join(damage)
        return run

    def _restore(self, run: Run, document: Mapping[str, Any] | None) -> None:
        if document is None:
            return
        restore(run, document)
        try:
            run.runtime = self._services.entrypoints.validate_runtime(str(document.get("runtime")))
        except BotdockError:
            if not (run.journal.directory / CONCLUDED).exists():  # else nothing needs it any more
                raise

    def _locate(self, run: Run, container: ContainerInfo | None) -> ContainerStatus | None:
        """Find out how its container stands; None when there is none.

        Raises:
            BotdockError: The engine does not say.
        """
        found = container or (None if run.container else self._late(run))
        if found and found.container_id != run.container_id:  # the engine knows better than a record
            run.container = ContainerHandle(id=found.container_id)
        try:
            return self._status(run, run.container) if run.container else None
        except ContainerNotFoundError:
            return None

    def _late(self, run: Run) -> ContainerInfo | None:
        """Look for a container that may still be on its way: its runner did not live to hear of it."""
        try:
            since = (run.journal.directory / RUN).stat().st_mtime
        except FileNotFoundError:  # it had not come so far
            return None
        for _ in _while_late(since):
            if found := self._containers({LABEL_EXECUTION: run.execution_id}):
                return found[0]
        return None

    def _status(self, run: Run, container: ContainerHandle) -> ContainerStatus:
        """Look how the container stands; one that is about to be started is waited for, for the same reason."""
        status = self._services.containers.get_container_status(container)
        for _ in _while_late(run.started_ns / 1e9):
            if status.state is not ContainerState.CREATED:
                break
            status = self._services.containers.get_container_status(container)
        return status


def _unknown(directory: Path, container: ContainerInfo | None) -> Executable:
    """Return what stands for a request that cannot be read."""
    labelled = container.labels.get(LABEL_EXECUTABLE, "") if container else ""
    for name in (labelled, directory.name):
        with suppress(BotdockError):
            return Executable(id=name, file_path="unknown")
    raise AssertionError("an execution's id is an id")


def _while_late(since: float) -> Iterator[None]:
    """Yield now and then until `ENGINE_PATIENCE` after that time, and once at least; no longer if the clock is set."""
    for _ in range(round(ENGINE_PATIENCE / _PAUSE) + 1):
        yield
        if time.time() - since >= ENGINE_PATIENCE:
            break
        time.sleep(_PAUSE)
