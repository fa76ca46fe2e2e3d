"""Waiting for a container to end, and making it end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError, EngineUnavailableError
from botdock.model import ContainerState
from botdock_engine_docker.client import path
from botdock_engine_docker.status import read_status
from botdock_engine_docker.wire import Backoff, Deadline

if TYPE_CHECKING:
    from botdock.model import ContainerStatus
    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.containers import Containers

WAIT_PIECE = 60.0
"""Seconds of one call that waits: a connection that died unnoticed is replaced after them."""
LAST_LOOK = 10.0
"""Seconds that the look at a container may take that has just ended, however little time is left."""
RECONNECT = 30.0
"""Seconds that a daemon may be away while somebody waits: a restart takes a few."""
STUCK = "A process that hangs in the kernel cannot be killed: look at `docker inspect` and `dmesg`."


class Waiter:
    """Waits for containers, over restarts of the daemon too."""

    def __init__(self, client: DockerClient, containers: Containers) -> None:
        self._client = client
        self._containers = containers

    def wait(self, container_id: str, *, timeout: float) -> ContainerStatus | None:
        """Wait for the end; return the final status, or None when it still runs.

        Raises:
            ContainerNotFoundError: It is gone.
            EngineUnavailableError: The daemon stayed away.
        """
        deadline = Deadline(timeout)
        while (status := self._wait_patiently(container_id, deadline)) is None:
            if deadline.passed:
                return None
        return status

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

    def _wait_patiently(self, container_id: str, deadline: Deadline) -> ContainerStatus | None:
        """Wait for a while; a daemon that is away gets the time of a restart to come back."""
        away = Deadline(min(RECONNECT, deadline.left))
        backoff = Backoff(away)
        while True:
            try:
                return self._wait_once(container_id, deadline.left)
            except EngineUnavailableError:
                if away.passed:
                    raise
            backoff.pause()

    def _wait_once(self, container_id: str, left: float) -> ContainerStatus | None:
        if left > 0:
            call = self._client.about("wait", timeout=min(left, WAIT_PIECE), container_id=container_id)
            try:
                self._client.send(call, "POST", path("/containers/{}/wait", container_id))
            except EngineTimeoutError:
                return None
        inspected = self._containers.inspect(container_id, timeout=LAST_LOOK, operation="wait")
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
        call = self._client.about("stop", timeout=timeout, container_id=container_id)
        try:
            self._client.send(call, "POST", path("/containers/{}/kill", container_id), params={"signal": signal})
        except ContainerNotFoundError:
            raise
        except ContainerError as error:
            if "is not running" not in error.message:
                raise
            return False
        return True
