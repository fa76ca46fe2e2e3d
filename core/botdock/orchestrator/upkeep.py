"""What a runner does besides its executions: finish what is owed, and remove what belongs to no execution.

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
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from botdock._log import about, logger
from botdock._whole_files import publish
from botdock.config import RetentionConfig
from botdock.errors import BotdockError
from botdock.executions import Executions
from botdock.executions._files import EXECUTIONS, OUTCOME, execution_ids, read_json
from botdock.model import ContainerHandle, ContainerInfo
from botdock.model.execution import EXECUTION_ID
from botdock.orchestrator.preparation import Services
from botdock.orchestrator.run import Run
from botdock.services.code import Workspace

STRAY_GRACE = 600.0
"""Seconds between the look that first finds a stray and the one that removes it."""
SIGHTINGS = "sightings.json"
"""The file of the state folder that says when each stray was first seen."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to finish what is owed; each pause is twice as long as the one before it."""
LOOK_EVERY = 600.0
"""Seconds between two looks for what other runners left."""


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


class Upkeep:
    """A thread that finishes what is owed; it starts with the first execution, and ends with its runner.

    Args:
        settle: Tries to finish a run; returns whether nothing is owed any more.
        look: Takes over what other runners owe; told whether to remove strays too.
    """

    def __init__(self, settle: Callable[[Run], bool], look: Callable[[bool], None]) -> None:
        self._settle = settle
        self._look = look
        self._changed = threading.Condition()
        self._owed: list[Run] = []
        self._pause = FIRST_PAUSE
        self._closing = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start, unless it has been started."""
        with self._changed:
            if self._closing or (self._thread is not None and self._thread.is_alive()):
                return
            self._owed = []  # in a forked child: what is owed by its parent
            self._thread = threading.Thread(target=self._work, name="botdock-upkeep", daemon=True)
            self._thread.start()

    def owe(self, run: Run) -> None:
        """Try to finish this run from now on, if anything is owed; after the end that is left to a successor."""
        if not run.owed:
            return
        self.begin()
        with self._changed:
            self._owed.append(run)
            self._pause = FIRST_PAUSE
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Try everything once more, and end; wait for that at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)

    def _work(self) -> None:
        next_look, strays = time.monotonic(), False
        next_try = next_look
        while True:
            closing = self._closing
            if not closing and time.monotonic() >= next_look:
                looked = self._looked(strays=strays)
                next_look = time.monotonic() + (LOOK_EVERY if looked else LONGEST_PAUSE)
                strays = strays or looked
            if closing or time.monotonic() >= next_try:
                self._try_all()
                next_try = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            if closing:
                return
            with self._changed:
                until = min(next_try, next_look) if self._owed else next_look
                if not self._closing:
                    self._changed.wait(max(until - time.monotonic(), 0.0))
                next_try = min(next_try, time.monotonic() + self._pause)

    def _looked(self, *, strays: bool) -> bool:
        try:
            self._look(strays)
        except Exception as error:  # noqa: BLE001 - it is tried again; what a bot owes must not depend on it
            logger.bind(error=str(error)).debug("what other runners owe could not be looked for")
            return False
        return True

    def _try_all(self) -> None:
        with self._changed:
            owed = list(self._owed)
        for run in owed:
            with about(run.execution_id):
                try:
                    settled = self._settle(run)
                except Exception as error:  # noqa: BLE001 - the same
                    logger.bind(error=repr(error)).warning("what is owed could not be tried")
                    continue
            if settled:
                logger.bind(execution_id=run.execution_id).info("what an execution had left behind is removed")
                with self._changed:
                    self._owed.remove(run)


def prune(home: Path, retention: RetentionConfig) -> None:
    """Remove the ended executions that the configuration does not keep."""
    if bounds := retention.bounds():
        try:
            Executions(home).prune(**bounds)
        except BotdockError as error:
            logger.bind(error=error.message).warning("old executions could not be removed")


def strays(home: Path, containers: Iterable[ContainerInfo]) -> Iterator[Leftover]:
    """Yield the containers, of those listed, and the workspaces that belong to no execution or to a finished one."""
    for info in containers:
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


def _stray(kind: str, name: str, execution_id: str, reason: str) -> Leftover:
    return Leftover(kind=kind, name=name, execution_id=execution_id, reason=reason, action="")


class Sightings:
    """When each stray was first seen, on disk: two looks of different runners count as two.

    Args:
        home: The state folder.
        engine: Whose containers are looked at; what was seen of other engines' stays noted.
    """

    def __init__(self, home: Path, engine: str) -> None:
        self._path = home / SIGHTINGS
        self._engine = engine
        known = (read_json(self._path) or {}).get("seen")
        self._seen: dict[str, float] = {}
        for name, since in known.items() if isinstance(known, dict) else ():
            if isinstance(since, int | float):
                self._seen[name] = min(float(since), time.time())  # a clock that was set back begins anew

    def due(self, stray: Leftover) -> float:
        """Return in how many seconds it may be removed: 0 or less for now."""
        since = self._seen.get(self._name(stray))
        return STRAY_GRACE if since is None else since + STRAY_GRACE - time.time()

    def is_new(self, stray: Leftover) -> bool:
        """Tell whether it is seen for the first time."""
        return self._name(stray) not in self._seen

    def note(self, found: Iterable[Leftover]) -> None:
        """Write down what is seen now, and forget what is not.

        Raises:
            OSError: The disk took no more.
        """
        ours = (f"{self._engine} container ", "workspace ")
        others = {name: since for name, since in self._seen.items() if not name.startswith(ours)}
        now = time.time()
        seen = others | {name: self._seen.get(name, now) for name in map(self._name, found)}
        if seen != self._seen:
            publish(self._path, json.dumps({"schema": 1, "seen": seen}).encode())
            self._seen = seen

    def _name(self, stray: Leftover) -> str:
        return f"{self._engine} container {stray.name}" if stray.kind == "container" else f"workspace {stray.name}"


def sweep(services: Services, home: Path, engine: str, containers: Iterable[ContainerInfo]) -> None:
    """Remove the strays that were seen long enough ago, and note the others."""
    sightings = Sightings(home, engine)
    found = list(strays(home, containers))
    for stray in found:
        if sightings.is_new(stray):
            said = (
                f"a {stray.kind} belongs to no execution; it goes when it is seen again in {STRAY_GRACE:g} s or later"
            )
            logger.bind(name=stray.name, reason=stray.reason).warning(said)
    left = [stray for stray in found if sightings.due(stray) > 0 or not _removed(services, stray)]
    try:
        sightings.note(left)
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
