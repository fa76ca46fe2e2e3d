"""The calls about one container, each made once; waiting for its end, and making it end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botdock.errors import (
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageError,
)
from botdock.logging import logger_of
from botdock.model import ContainerInfo, ContainerState, ContainerStatus
from botdock_engine_docker.client import path
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdock.model import ContainerRun
    from botdock_engine_docker.client import DockerClient

logger = logger_of(__name__)

STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "paused": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
    "exited": ContainerState.EXITED,
    "dead": ContainerState.EXITED,
}
"""Docker's states; one that is being removed is in none that botdock knows."""
NEVER = 1
"""The year of Go's zero time, which Docker writes for 'not yet'."""
CLEAN_UP = 5.0
"""Seconds to remove what a create that was cut off may have left."""
REMOVE_TRIES = 5
"""How often a removal is tried that fails because something of the container is still busy."""
WAIT_PIECE = 60.0
"""Seconds of one call that waits: a connection that died unnoticed is replaced after them."""
LAST_LOOK = 10.0
"""Seconds that the look at a container may take that has just ended, however little time is left."""
RECONNECT = 30.0
"""Seconds that a daemon may be away during a wait: a restart takes a few."""
STUCK = "A process that hangs in the kernel cannot be killed: look at `docker inspect` and `dmesg`."
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries."""


class Backoff:
    """Pauses between tries, each twice as long as the one before, until a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._next = FIRST_PAUSE

    def pause(self) -> bool:
        """Sleep, but not past the deadline; return whether there was time left."""
        left = self._deadline.left
        time.sleep(min(self._next, left))
        self._next = min(2 * self._next, LONGEST_PAUSE)
        return left > 0


class Containers:
    """The containers of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def create(self, run: ContainerRun, request: Mapping[str, Any], *, timeout: float) -> str:
        """Create a container and return its id; when it raises, nothing is left.

        Raises:
            ContainerConflictError: The name is taken.
            ImageError: The image is not there.
        """
        call = self._client.about("create", timeout=timeout, image=str(request["Image"]))
        try:
            said = self._client.send(call, "POST", "/containers/create", params={"name": run.name}, body=request)
        except ContainerError as error:
            if not isinstance(error, ContainerConflictError | ImageError):
                self._remove_leftover(run, answered=not isinstance(error, EngineTimeoutError | EngineUnavailableError))
            raise
        for warning in said.get("Warnings") or ():
            logger.bind(container=run.name, warning=warning).warning("Docker warns of a container")
        return str(said["Id"])

    def has_file(self, container_id: str, file: str, *, timeout: float) -> bool:
        """Say whether a container that need not run has a file, in its image or in a mount."""
        try:
            self._send("inspect", "HEAD", container_id, "/archive", timeout=timeout, params={"path": file})
        except ContainerNotFoundError:
            return False
        return True

    def start(self, container_id: str, *, timeout: float) -> None:
        """Start it; one that runs already is left alone."""
        self._send("start", "POST", container_id, "/start", timeout=timeout)

    def inspect(self, container_id: str, *, timeout: float, operation: str = "inspect") -> Mapping[str, Any]:
        """Return all that the engine knows of it."""
        inspected: Mapping[str, Any] = self._send(operation, "GET", container_id, "/json", timeout=timeout)
        return inspected

    def list(self, labels: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """Return those that carry all of the labels."""
        return self.labelled(*(f"{name}={value}" for name, value in labels.items()), timeout=timeout)

    def labelled(self, *labels: str, timeout: float) -> Sequence[ContainerInfo]:
        """Return those that carry all of the labels, each a name or `name=value`."""
        filters = json.dumps({"label": labels})
        call = self._client.about("list", timeout=timeout)
        listed = self._client.send(call, "GET", "/containers/json", params={"all": 1, "filters": filters})
        return [read_info(line) for line in listed]

    def remove(self, container_id: str, *, timeout: float) -> None:
        """Remove it with its log and its anonymous volumes, killing it if it runs; one that is gone is not an error."""
        deadline = Deadline(timeout)
        backoff = Backoff(deadline)
        for remaining in reversed(range(REMOVE_TRIES)):
            try:
                return self._remove_once(container_id, timeout=deadline.left)
            except ContainerNotFoundError:
                return None
            except (EngineTimeoutError, EngineUnavailableError):
                raise
            except ContainerError:  # it says that the device or the driver is busy
                if not remaining or deadline.passed:
                    raise
            backoff.pause()
        return None

    def _remove_once(self, container_id: str, *, timeout: float) -> None:
        try:
            self._send("remove", "DELETE", container_id, timeout=timeout, params={"force": 1, "v": 1})
        except ContainerError as error:
            if "already in progress" not in error.message:
                raise
            self._send("remove", "POST", container_id, "/wait", timeout=timeout, params={"condition": "removed"})

    def _remove_leftover(self, run: ContainerRun, *, answered: bool) -> None:
        """Remove what a create made that failed; where its answer never came, it may appear only after a while."""
        deadline = Deadline(CLEAN_UP)
        backoff = Backoff(deadline)
        while not deadline.passed:
            try:
                if self._remove_created(run, deadline) or answered:
                    return
            except EngineUnavailableError:
                return  # nothing can be done now; what is left carries labels by which it is found later
            except ContainerError:
                pass  # one more try
            backoff.pause()

    def _remove_created(self, run: ContainerRun, deadline: Deadline) -> bool:
        """Remove the container of that name and those selectors; one that has been started is another's."""
        listed = self.list(run.selectors, timeout=deadline.left)
        found = [info for info in listed if info.name == run.name]
        for info in found:
            if info.state is ContainerState.CREATED:
                self.remove(info.container_id, timeout=deadline.left)
        return bool(found)

    def wait(self, container_id: str, *, timeout: float) -> ContainerStatus | None:
        """Wait for the end; return the final status, or None when it still runs.

        Raises:
            ContainerNotFoundError: It is gone.
            EngineUnavailableError: The daemon stayed away.
        """
        deadline = Deadline(timeout)
        away: Backoff | None = None
        while True:
            try:
                if (status := self._wait_once(container_id, deadline.left)) or deadline.passed:
                    return status
                away = None
            except EngineUnavailableError:
                away = away or Backoff(Deadline(min(RECONNECT, deadline.left)))
                if not away.pause():
                    raise

    def stop(self, container_id: str, *, grace: float, timeout: float) -> None:
        """Ask it to end, and kill it after the grace.

        `POST /stop` would do the same, but in whole seconds and only while the connection lives.

        Raises:
            EngineTimeoutError: It has not ended even so.
        """
        if grace > 0 and self._ends_by("SIGTERM", container_id, call=timeout, patience=grace):
            return
        if not self._ends_by("SIGKILL", container_id, call=timeout, patience=timeout):
            call = self._client.about("stop", timeout=timeout, container_id=container_id)
            raise call.error(EngineTimeoutError, f"it was killed, and has not ended in {timeout:g} s", hint=STUCK)

    def _wait_once(self, container_id: str, left: float) -> ContainerStatus | None:
        if left > 0:
            try:
                self._send("wait", "POST", container_id, "/wait", timeout=min(left, WAIT_PIECE))
            except EngineTimeoutError:
                return None
        inspected = self.inspect(container_id, timeout=LAST_LOOK, operation="wait")
        status = read_status(inspected)
        if status.state is ContainerState.CREATED and left > 0:
            Backoff(Deadline(left)).pause()  # it does not run, but it has not ended either
        return status if status.state is ContainerState.EXITED else None

    def _ends_by(self, signal: str, container_id: str, *, call: float, patience: float) -> bool:
        """Send a signal; return whether nothing runs (any more) after so many seconds."""
        running = self._signal(signal, container_id, timeout=call)
        return not running or self.wait(container_id, timeout=patience) is not None

    def _signal(self, signal: str, container_id: str, *, timeout: float) -> bool:
        """Send a signal; return whether there was anything running to get it."""
        try:
            self._send("stop", "POST", container_id, "/kill", timeout=timeout, params={"signal": signal})
        except ContainerNotFoundError:
            raise
        except ContainerError as error:
            if "is not running" not in error.message:
                raise
            return False
        return True

    def _send(
        self, operation: str, method: str, container_id: str, what: str = "", *, timeout: float, **arguments: Any
    ) -> Any:
        call = self._client.about(operation, timeout=timeout, container_id=container_id)
        return self._client.send(call, method, path("/containers/{}", container_id) + what, **arguments)


def read_status(inspected: Mapping[str, Any]) -> ContainerStatus:
    """Return the status that an answer of `inspect` tells.

    Docker says 128+n both for a signal and for a program that exits so; the signal stays unknown.
    """
    state = inspected["State"]
    where = STATES.get(state["Status"], ContainerState.UNKNOWN)
    started_at, finished_at = read_time(state.get("StartedAt", "")), read_time(state.get("FinishedAt", ""))
    if started_at and finished_at:  # the daemon notes the start after it, so a very short life may seem to end before
        started_at = min(started_at, finished_at)
    return ContainerStatus(
        container_id=inspected["Id"],
        state=where,
        exit_code=state["ExitCode"] if where is ContainerState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        started_at=started_at,
        finished_at=finished_at,
        error=state.get("Error", ""),
    )


def read_info(listed: Mapping[str, Any]) -> ContainerInfo:
    """Return what a line of `list` tells."""
    return ContainerInfo(
        container_id=listed["Id"],
        name=next(iter(listed.get("Names") or ()), "").lstrip("/"),
        image=listed.get("Image", ""),
        state=STATES.get(listed.get("State", ""), ContainerState.UNKNOWN),
        labels=listed.get("Labels") or {},
        created_at=datetime.fromtimestamp(listed["Created"], UTC) if listed.get("Created") else None,
    )


def read_time(text: str) -> datetime | None:
    """Return a time of Docker's in UTC, None for one that has not come; nanoseconds are cut to microseconds."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return None if moment.year == NEVER else moment.astimezone(UTC)
