"""The engine: a container is a folder, a supervisor and a process group."""

# ruff: noqa: ARG002 - the parameters are those of every engine; a folder has no use for a timeout or a pull policy

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from botdock.errors import ContainerError
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    Engine,
    EngineCapabilities,
    ImageInfo,
    LogCursor,
    LogStream,
    PullPolicy,
    PullProgress,
)
from botdock_engine_process.capabilities import ENGINE, WARNING, capabilities
from botdock_engine_process.creation import create
from botdock_engine_process.ending import kill, stop, wait_for_exit
from botdock_engine_process.errors import mapped
from botdock_engine_process.folder import MADE, ContainerFolder, remove_folder, sweep
from botdock_engine_process.launch import launch
from botdock_engine_process.results import read_result
from botdock_engine_process.streams import FileLogStream

KILL_SECONDS = 5.0
"""How long a bot whose start came too late may take to die."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What can be the name of a folder on every file system, and cannot leave the state folder."""


def warn_on_stderr(line: str) -> None:
    """Write a line to stderr, and to nothing else; that it is closed or full is no reason not to run a bot."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class ProcessEngine(Engine):
    """Runs bots as plain processes of this machine, with no isolation.

    Each has a supervisor, a small process that keeps its log and records its end; so bots outlive the runner, and any
    other engine over the same folder finds them.

    Args:
        state: The folder that holds a folder for each container.
        warn: Told once, before the first container, that there is no isolation.
    """

    def __init__(self, state: Path, *, warn: Callable[[str], None] = warn_on_stderr) -> None:
        self._state = state
        self._warn = warn
        self._warned = False
        self._lock = Lock()

    def capabilities(self) -> EngineCapabilities:
        """Say that it isolates nothing."""
        return capabilities()

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Say that it is there: processes need no image. `create` looks for the interpreter."""
        return ImageInfo(reference=image)

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Make the container's folder, whose name is all that a successor needs to know."""
        if not _NAME.fullmatch(run.name):
            raise ContainerError(f"{run.name[:80]!r} cannot name a container", engine=ENGINE, operation="create")
        self._say_once()
        with mapped("create", run.name):
            sweep(self._state)
            create(self._state / run.name, template, run)
        return ContainerHandle(id=run.name)

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the log from its first byte."""
        return self.read_logs(container, cursor=LogCursor(), follow=True, timeout=timeout)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Start the supervisor, and learn from it that the bot runs."""
        with mapped("start", container.id):
            folder = self._folder(container.id)
            if folder.status().state is ContainerState.RUNNING:
                return
            try:
                problem = launch(folder, timeout=timeout)
            except TimeoutError:
                kill(folder, timeout=KILL_SECONDS)
                raise
        if problem:
            message = f"container {container.id} did not start: {problem}"
            raise ContainerError(message, engine=ENGINE, operation="start", container_id=container.id)

    def read_logs(
        self,
        container: ContainerHandle,
        *,
        cursor: LogCursor,
        follow: bool,
        timeout: float,
    ) -> LogStream:
        """Open the log behind the cursor."""
        with mapped("read_logs", container.id):
            return FileLogStream(self._folder(container.id), cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the supervisor's record of the end."""
        with mapped("wait", container.id):
            return wait_for_exit(self._folder(container.id), timeout=timeout)

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say what the records say."""
        with mapped("inspect", container.id):
            return self._folder(container.id).status()

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Tell the supervisor to stop the bot."""
        with mapped("stop", container.id):
            stop(self._folder(container.id), grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Kill what runs and remove the folder."""
        if not self._knows(container.id):
            return
        with mapped("remove", container.id):
            folder = self._folder(container.id)
            kill(folder, timeout=timeout)
            remove_folder(folder)

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the folders whose containers carry the selectors."""
        with mapped("list"):
            return [info for info in self._infos() if selectors.items() <= info.labels.items()]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Read the result file, if it is one still."""
        with mapped("fetch_result", container.id):
            made = self._folder(container.id).record(MADE)
            if made is None:
                raise OSError("what was written down of the container is gone")
            return read_result(Path(made["result"]), limit + 1)

    def close(self) -> None:
        """Nothing is kept open."""

    def _knows(self, container_id: str) -> bool:
        return bool(_NAME.fullmatch(container_id)) and (self._state / container_id).is_dir()

    def _folder(self, container_id: str) -> ContainerFolder:
        if not self._knows(container_id):
            raise FileNotFoundError(container_id)
        return ContainerFolder(self._state / container_id)

    def _infos(self) -> Iterator[ContainerInfo]:
        names = sorted(path.name for path in self._state.iterdir()) if self._state.is_dir() else ()
        for name in filter(self._knows, names):
            with suppress(FileNotFoundError):  # removed since
                yield ContainerFolder(self._state / name).info()

    def _say_once(self) -> None:
        with self._lock:
            said, self._warned = self._warned, True
        if not said:
            self._warn(WARNING)
