"""The engine of containers that are folders, but for what their shims start."""

# ruff: noqa: ARG002 - the parameters are those of every engine; a folder has no use for a timeout

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import attrs

from botdock.archive import remove_tree
from botdock.errors import ContainerConflictError, ContainerError, ContainerNotFoundError, EngineTimeoutError
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    Engine,
    EngineEvents,
    LogCursor,
    LogStream,
)
from botdock.shim._container import MADE, OWN_MARK, REMOVAL, ContainerFolder, Plan, sweep, utc
from botdock.shim._log import ShimLogStream
from botdock.shim._process import ForkServer, ShimEvents
from botdock.shim._program import files
from botdock.shim._program.processes import KILL_SECONDS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What can be the name of a folder on every file system, and cannot leave the state folder."""
_RESULT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class ShimEngine(Engine):
    """Runs each bot beside a shim, a small process that keeps its log and records its end.

    So bots outlive the runner, and any other engine of the same kind over the same folder finds them.

    Args:
        state: The folder that holds a folder for each container.

    Attributes:
        name: The engine's, for messages.
        forks: Whether shims are forked from a process that stays as long as the engine is open: sooner, and in less
            memory, than new ones.
    """

    name: ClassVar[str]
    forks: ClassVar[bool] = False

    def __init__(self, state: Path) -> None:
        self._state = state
        self._events: ShimEvents | None = None
        self._fork_server = ForkServer() if self.forks else None

    @abstractmethod
    def plan(self, new: Path, folder: Path, template: ContainerTemplate, run: ContainerRun) -> Plan:
        """Fill the folder of a new container, and return what its shim starts.

        Args:
            new: The folder; what is in it is removed with the container.
            folder: Where it lies when the shim starts, as it appears under its name only when it is whole.
            template: What the container has in common with others.
            run: What is its own.

        Raises:
            ContainerError: Something that it needs is absent.
        """

    def prepare(self, template: ContainerTemplate, count: int, *, timeout: float) -> bool:
        """Say that containers can wait: what they see lies on this machine."""
        return True

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Make the container's folder, whose name is all that a successor needs to know."""
        name = run.name
        if not _NAME.fullmatch(name):
            raise self.error(f"{name[:80]!r} cannot name a container", "create")
        for shown in (run.code, template.program, run.context, run.result):
            if not Path(shown).exists():
                hint = "It was to be shown to the bot; was it removed meanwhile?"
                raise ContainerError(f"{shown} does not exist", engine=self.name, operation="create", hint=hint)
        if self._fork_server:
            self._fork_server.start()  # so that it is ready when this container starts
        path, new = self._state / name, self._state / f"{OWN_MARK}new-{secrets.token_hex(8)}"
        try:
            new.mkdir(mode=0o700, parents=True)
            plan = self.plan(new, path, template, run)
            output = {"output": template.limits.output, "endless": template.keeps_newest}
            (new / files.BELLS).mkdir(mode=0o700)
            os.mkfifo(new / files.CONTROL, 0o600)
            (new / f"{files.LOG}0").write_bytes(files.HEAD.pack(0, 0))
            made = {
                "name": name,
                "image": template.image,
                "labels": {**run.annotations, **run.selectors},
                "result": run.result,
                "created_at": time.time(),
                "temporary": plan.temporary,
                "cgroups": list(plan.cgroups),
            }
            files.write_record(new / MADE, made)
            files.write_record(new / files.PLAN, {**attrs.asdict(plan), **output})
            new.rename(path)  # fails where `path` is a folder that is not empty, as each container's is not
        except BaseException as error:
            with suppress(OSError):
                remove_tree(new, timeout=REMOVAL)
            if not isinstance(error, OSError):
                raise
            kind, message = ContainerError, f"cannot create container {name!r}: {error}"
            if path.exists():
                kind, message = ContainerConflictError, f"container {name!r} exists already"
            raise kind(message, engine=self.name, operation="create", container_id=name) from error
        return ContainerHandle(id=name)

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the log from its first byte."""
        with self._opened("attach", container.id) as folder:
            return ShimLogStream(folder, cursor=LogCursor(), follow=True)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Start the shim, and learn from it that the bot runs."""
        with self._opened("start", container.id) as folder:
            if folder.status().state is ContainerState.RUNNING:
                return
            try:
                problem = folder.start(timeout=timeout, fork_server=self._fork_server)
            except TimeoutError:
                folder.kill(timeout=KILL_SECONDS)
                raise
            if not problem and self._events is not None:
                self._events.watch(container.id, files.read_record(folder.path / files.SHIM))
        if problem:
            raise self.error(f"container {container.id} did not start: {problem}", "start", container.id)

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Open the log behind the cursor."""
        with self._opened("read_logs", container.id) as folder:
            return ShimLogStream(folder, cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the shim's record of the end."""
        with self._opened("wait", container.id) as folder:
            if self._events is not None:  # first: what ends before is seen now, and of the rest is told
                self._events.watch(container.id, files.read_record(folder.path / files.SHIM))
            return folder.wait(timeout=timeout)

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say what the records say."""
        with self._opened("inspect", container.id) as folder:
            return folder.status()

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Tell the shim to stop the bot."""
        with self._opened("stop", container.id) as folder:
            folder.stop(grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Kill what runs and remove the folder."""
        with suppress(ContainerNotFoundError), self._opened("remove", container.id) as folder:
            if not files.read_record(folder.path / files.EXIT):  # else its shim has killed all of it
                folder.kill(timeout=timeout)
            folder.remove()

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the folders whose containers carry the selectors; remove what dead runners left half made or removed."""
        found: list[ContainerInfo] = []
        try:
            paths = sorted(self._state.iterdir()) if self._state.is_dir() else []
        except OSError as error:
            raise self.error(f"cannot list containers: {error}", "list") from error
        for path in paths:
            if path.name.startswith(OWN_MARK):
                sweep(path)
                continue
            with suppress(ContainerNotFoundError), self._opened("list", path.name) as folder:
                if (made := files.read_record(path / MADE)) and selectors.items() <= made["labels"].items():
                    info = ContainerInfo(
                        container_id=path.name,
                        name=made["name"],
                        image=made["image"],
                        state=folder.status().state,
                        labels=made["labels"],
                        created_at=utc(made["created_at"]),
                    )
                    found.append(info)
        return found

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents | None:
        """Begin to tell of ends: of what runs now, and of what this engine starts, or is asked about with `wait`."""
        try:
            events = ShimEvents(self.name)
        except (OSError, AttributeError):  # no descriptors are left; or the kernel, or this Python, is too old
            return None
        for info in self.list(selectors, timeout=timeout):
            events.watch(info.container_id, files.read_record(self._state / info.container_id / files.SHIM))
        self._events = events
        return events

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Read the result file, without trust that it is what was put there."""
        with self._opened("fetch_result", container.id) as folder:
            path = (files.read_record(folder.path / MADE) or {}).get("result", "")
            try:
                with open(path, "rb", opener=lambda name, _: os.open(name, _RESULT)) as file:
                    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        return file.read(limit + 1)
                raise OSError(errno.EINVAL, "the result is not a regular file any more")
            except FileNotFoundError as error:  # the container is there: so this is not "no such container"
                raise OSError(errno.EIO, "the result file is gone") from error

    def close(self) -> None:
        """Let go of the process that shims are forked from."""
        if self._fork_server:
            self._fork_server.close()

    def error(self, message: str, operation: str, container_id: str | None = None) -> ContainerError:
        """Return an error of this engine."""
        return ContainerError(message, engine=self.name, operation=operation, container_id=container_id)

    @contextmanager
    def _opened(self, operation: str, container_id: str) -> Iterator[ContainerFolder]:
        """Give a container's folder; what the operating system raises becomes the error of botdock that it means."""
        folder = ContainerFolder(self._state / container_id)
        try:
            if not (_NAME.fullmatch(container_id) and folder.path.is_dir()):
                raise FileNotFoundError(container_id)
            yield folder
        except OSError as error:
            kind, message = ContainerError, f"cannot {operation.replace('_', ' ')} container {container_id!r}: {error}"
            if isinstance(error, FileNotFoundError):
                kind, message = ContainerNotFoundError, f"container {container_id!r} is not there"
            elif isinstance(error, TimeoutError):
                kind, message = EngineTimeoutError, f"{operation} of container {container_id!r}: {error}"
            raise kind(message, engine=self.name, operation=operation, container_id=container_id) from error
