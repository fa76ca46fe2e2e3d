"""Whose a member is, as the disk says; and what is left of the pools of runners that died."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock._log import logger
from botdock.archive import remove_tree
from botdock.errors import BotdockError
from botdock.executions._files import EXECUTIONS, OUTCOME, POOL, REQUEST, read_json
from botdock.executions._lease import runner_lives
from botdock.model import ContainerHandle, ContainerInfo
from botdock.model.container import (
    LABEL_EXECUTABLE,
    LABEL_EXECUTION,
    LABEL_POOL,
    LABEL_SEGMENT,
    segment_selector,
)
from botdock.model.execution import EXECUTION_ID
from botdock.pool._member import EXECUTION

if TYPE_CHECKING:
    from botdock.services.interfaces import Containers

STATUS = "status.json"
_SWEPT = 60.0
"""Seconds that the removal of one folder may take."""


def folder_of(home: Path, slot: str) -> Path | None:
    """Return the folder of a member by its place, `<runner>.<name>`; None where it does not name one."""
    runner, _, name = slot.partition(".")
    both = EXECUTION_ID.fullmatch(runner) and EXECUTION_ID.fullmatch(name)
    return home / POOL / runner / name if both else None


def claimed(folder: Path) -> str:
    """Return the execution that a member became; an empty text for one that waits."""
    try:
        text = (folder / EXECUTION).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return text if EXECUTION_ID.fullmatch(text) else ""


def of_executions(home: Path, containers: Iterable[ContainerInfo]) -> Iterator[ContainerInfo]:
    """Yield the containers without those that wait or were used; what one is now is told by its execution's labels."""
    for info in containers:
        if LABEL_POOL not in info.labels:
            yield info
        elif (folder := folder_of(home, info.labels[LABEL_POOL])) and _is_under_way(home, claimed(folder)):
            execution_id = claimed(folder)
            request = read_json(home / EXECUTIONS / execution_id / REQUEST) or {}
            labels = {LABEL_EXECUTION: execution_id, LABEL_EXECUTABLE: str(request.get("id", ""))}
            if isinstance(segment := request.get("segment"), int):
                labels[LABEL_SEGMENT] = segment_selector(segment)
            yield attrs.evolve(info, labels={**info.labels, **labels})


def is_stray(home: Path, slot: str) -> bool:
    """Tell whether the container of that place is of no pool, nor of an execution that is under way."""
    folder = folder_of(home, slot)
    return folder is None or not folder.exists()


def left_by_the_dead(home: Path) -> Iterator[Path]:
    """Yield the folders of members that waited in the pools of runners that died, and of those that are over."""
    for runner in _folders(home / POOL):
        if not runner_lives(home, runner.name):
            yield from (folder for folder in _folders(runner) if not _is_under_way(home, claimed(folder)))


def sweep(home: Path, listed: Iterable[ContainerInfo], containers: Containers) -> None:
    """Remove what is left of the pools of runners that died, but for what executions became that are under way.

    Args:
        home: The state folder.
        listed: Its containers on an engine.
        containers: The container service over that.
    """
    by_slot = {info.labels[LABEL_POOL]: info for info in listed if LABEL_POOL in info.labels}
    for folder in list(left_by_the_dead(home)):
        info = by_slot.get(f"{folder.parent.name}.{folder.name}")
        bound = logger.bind(folder=str(folder), container_id=info and info.container_id)
        try:
            if info is not None:
                containers.remove_container(ContainerHandle(id=info.container_id))
            remove_tree(folder, timeout=_SWEPT)
        except (BotdockError, OSError) as error:
            bound.bind(error=str(error)).warning("what a dead runner kept waiting could not be removed yet")
        else:
            bound.info("removed what a dead runner kept waiting")
    for runner in _folders(home / POOL):
        if not runner_lives(home, runner.name) and not _folders(runner):
            shutil.rmtree(runner, ignore_errors=True)


def _is_under_way(home: Path, execution_id: str) -> bool:
    directory = home / EXECUTIONS / execution_id
    return bool(execution_id) and directory.exists() and not (directory / OUTCOME).exists()


def _folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if EXECUTION_ID.fullmatch(path.name) and path.is_dir())
    return []
