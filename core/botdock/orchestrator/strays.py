"""What a finished state folder would not have: executions without an outcome, and what belongs to no execution.

An execution is owed something when it is over and its container, its workspace or its outcome could not be seen to: its
record is kept without `outcome.json`, and `concluded.json` says how it ended and what is left behind.

    its own runner       tries again, ever more rarely, as long as it lives, and once more when it is closed
    another runner       takes it over once the first one is gone: when it has begun its first execution, and then
                         every ten minutes, as far as its end is written down; what may still run is for `recover`
    `botdock recover`    takes over all of it

A container or a workspace that belongs to no execution, or to one that is finished, is a stray: `recover`, and a runner
that lives on, note when they first saw it, and remove it when they see it again after a grace time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from botdock._boot_clock import moment, seconds_since
from botdock._log import logger
from botdock._whole_files import publish
from botdock.errors import BotdockError
from botdock.executions._files import (
    EXECUTIONS,
    OUTCOME,
    POOL,
    REQUEST,
    RUN,
    execution_ids,
    is_orphan,
    is_owed,
    left_behind,
    load_json,
    read_events,
    read_json,
)
from botdock.executions._lease import holder_lives
from botdock.model import ContainerHandle, ContainerInfo, ContainerState
from botdock.model.container import LABEL_POOL
from botdock.model.execution import EXECUTION_ID
from botdock.services.code import Workspace
from botdock.services.interfaces import Services

STRAY_GRACE = 600.0
"""Seconds between the look that first finds a stray and the one that removes it."""
SIGHTINGS = "sightings.json"
"""The file of the state folder that says when each stray was first seen."""


@attrs.frozen(kw_only=True)
class Leftover:
    """Something that a finished state folder would not have.

    Attributes:
        kind: `execution`, `container` or `workspace`.
        name: The execution's id, the engine's identity of the container, or the path of the workspace.
        execution_id: The execution it belongs or belonged to; empty when nothing says so.
        reason: Why it is there.
        action: What `recover` does about it, or would do now.
    """

    kind: str
    name: str
    execution_id: str
    reason: str
    action: str


def leftovers(home: Path, engine: str, containers: Sequence[ContainerInfo]) -> list[Leftover]:
    """Return what `recover` would take over or remove, and what living runners owe; changes nothing.

    Args:
        home: The state folder.
        engine: Name of the engine.
        containers: Its containers of this state folder.
    """
    known = {info.execution_id: info for info in containers}
    found = []
    for name in execution_ids(home):
        directory = home / EXECUTIONS / name
        if is_owed(directory) or is_orphan(directory):
            reason, action = _intention(directory, engine, known.get(name))
            found.append(Leftover(kind="execution", name=name, execution_id=name, reason=reason, action=action))
    reason = "it waited in the pool of a runner that died, or its execution is finished"
    found += [_stray("workspace", str(one), "", reason, "remove it, and its container") for one in dead_members(home)]
    seen = _sightings(home)
    for stray in strays(home, containers):
        due = STRAY_GRACE - (seconds_since(seen.get(_sighting(stray, engine))) or 0.0)
        action = "remove it" if due <= 0 else f"remove it when it is seen again in {due:.0f} s or later"
        found.append(attrs.evolve(stray, action=action))
    return found


def _intention(directory: Path, engine: str, container: ContainerInfo | None) -> tuple[str, str]:
    """Return why an execution is not finished, and what `recover` would do about it."""
    left = "; ".join(left_behind(directory)) or "it was being cleaned up"
    if holder_lives(directory):
        return f"it is over, and not all of it could be removed: {left}", "its runner tries again"
    reason = f"it is over: {left}" if is_owed(directory) else "its runner died"
    if (its := engine_of(directory)) not in {None, engine}:
        return reason, f"leave it to `recover --engine {its}`"
    runs = container is not None and container.state is not ContainerState.EXITED
    if is_owed(directory):
        return reason, "end and remove its container, finish it" if runs else "finish it"
    try:
        for name in (REQUEST, RUN):
            load_json(directory / name)
    except ValueError as error:
        return f"{reason}; {error}", "end it, for what it was to do is not known"
    return reason, "adopt it, for it still runs" if runs else "finish it"


def engine_of(directory: Path) -> str | None:
    """Return the engine of the execution in this folder, from whichever of its documents says so."""
    opened = (event for event in read_events(directory) if event.get("event") == "opened")
    for document in (read_json(directory / REQUEST), read_json(directory / RUN), next(opened, None)):
        if document and isinstance(document.get("engine"), str):
            return str(document["engine"])
    return None


def strays(home: Path, containers: Iterable[ContainerInfo]) -> Iterator[Leftover]:
    """Yield the containers, of those listed, and the workspaces that belong to no execution or to a finished one."""
    for info in containers:
        if slot := info.labels.get(LABEL_POOL):
            from botdock.pool import is_stray  # few state folders have pools

            if is_stray(home, slot):
                yield _stray("container", info.container_id, "", "the pool in which it waited is gone")
            continue
        found = info.execution_id if EXECUTION_ID.fullmatch(info.execution_id) else ""
        directory = home / EXECUTIONS / found
        if not found or not directory.exists():
            yield _stray("container", info.container_id, found, "its execution has no record")
        elif (directory / OUTCOME).exists():
            yield _stray("container", info.container_id, found, "its execution is finished")
    for execution_id in execution_ids(home):
        directory = home / EXECUTIONS / execution_id
        if (directory / "workspace").exists() and (directory / OUTCOME).exists():
            yield _stray("workspace", str(directory / "workspace"), execution_id, "its execution is finished")


def dead_members(home: Path) -> list[Path]:
    """Return the folders of what waits in the pools of runners that died; see `sweep_pools`."""
    if not (home / POOL).exists():
        return []
    from botdock.pool import left_by_the_dead  # few state folders have any

    return list(left_by_the_dead(home))


def sweep_pools(services: Services, home: Path, containers: Iterable[ContainerInfo]) -> None:
    """Remove what waits in the pools of runners that died, at once: its folder says whose it was.

    Args:
        services: What does the work.
        home: The state folder.
        containers: Its containers on the engine.
    """
    if (home / POOL).exists():
        from botdock.pool import sweep as sweep_members  # few state folders have any

        sweep_members(home, containers, services.containers)


def without_waiting(home: Path, containers: Sequence[ContainerInfo]) -> Sequence[ContainerInfo]:
    """Return the containers without those that wait in a pool; such as did have the labels of their executions."""
    if not any(LABEL_POOL in info.labels for info in containers):
        return containers
    from botdock.pool import of_executions  # few state folders have pools

    return list(of_executions(home, containers))


def _stray(kind: str, name: str, execution_id: str, reason: str, action: str = "") -> Leftover:
    return Leftover(kind=kind, name=name, execution_id=execution_id, reason=reason, action=action)


def _sightings(home: Path) -> dict[str, Any]:
    """Return the moment at which each stray was first seen: two looks of different runners count as two.

    One that is damaged, or of another boot, begins anew.
    """
    known, now = (read_json(home / SIGHTINGS) or {}).get("seen"), moment()
    seen = known.items() if isinstance(known, dict) else ()
    return {name: now if seconds_since(since) is None else since for name, since in seen}


def _sighting(stray: Leftover, engine: str) -> str:
    return f"{engine} container {stray.name}" if stray.kind == "container" else f"workspace {stray.name}"


def sweep(services: Services, home: Path, engine: str, containers: Sequence[ContainerInfo]) -> None:
    """Remove the strays that were seen long enough ago, and note the others, beside what is of other engines."""
    seen, now = _sightings(home), moment()
    left = {name: since for name, since in seen.items() if not name.startswith((f"{engine} container ", "workspace "))}
    for stray in list(strays(home, containers)):
        name = _sighting(stray, engine)
        if name not in seen:
            logger.bind(kind=stray.kind, name=stray.name, reason=stray.reason, seconds=STRAY_GRACE).warning(
                "it belongs to no execution, and goes when it is seen again after so many seconds"
            )
        since = seen.get(name, now)
        if (seconds_since(since) or 0.0) < STRAY_GRACE or not _removed(services, stray):
            left[name] = since
    if left != seen:
        try:
            publish(home / SIGHTINGS, json.dumps({"schema": 1, "seen": left}).encode())
        except OSError as error:
            logger.bind(error=str(error)).warning("what belongs to no execution could not be noted")


def _removed(services: Services, stray: Leftover) -> bool:
    bound = logger.bind(execution_id=stray.execution_id, kind=stray.kind, name=stray.name, reason=stray.reason)
    try:
        if stray.kind == "container":
            services.containers.remove_container(ContainerHandle(id=stray.name))
        else:
            services.code.cleanup_workspace(Workspace.at(Path(stray.name)))
    except (BotdockError, OSError) as error:
        bound.bind(error=str(error)).warning("what belongs to no execution could not be removed")
        return False
    bound.warning("removed what belonged to no execution")
    return True
