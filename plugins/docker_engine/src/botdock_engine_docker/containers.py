"""The calls about one container, each made once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError, EngineUnavailableError
from botdock.logging import logger_of
from botdock.model import ContainerState
from botdock_engine_docker.client import path
from botdock_engine_docker.status import read_info
from botdock_engine_docker.wire import Backoff, Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdock.model import ContainerInfo, ContainerRun
    from botdock_engine_docker.client import DockerClient

logger = logger_of(__name__)

CLEAN_UP = 5.0
"""Seconds to remove what a create that was cut off may have left."""
REMOVE_TRIES = 5
"""How often a removal is tried that fails because something of the container is still busy."""


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
        except (EngineTimeoutError, EngineUnavailableError):
            self._remove_leftover(run)
            raise
        for warning in said.get("Warnings") or ():
            logger.bind(container=run.name, warning=warning).warning("Docker warns of a container")
        return str(said["Id"])

    def has_file(self, container_id: str, file: str, *, timeout: float) -> bool:
        """Say whether a container that need not run has a file, in its image or in a mount."""
        call = self._client.about("inspect", timeout=timeout, container_id=container_id)
        try:
            self._client.send(call, "HEAD", path("/containers/{}/archive", container_id), params={"path": file})
        except ContainerNotFoundError:
            return False
        return True

    def start(self, container_id: str, *, timeout: float) -> None:
        """Start it; one that runs already is left alone."""
        call = self._client.about("start", timeout=timeout, container_id=container_id)
        self._client.send(call, "POST", path("/containers/{}/start", container_id))

    def inspect(self, container_id: str, *, timeout: float, operation: str = "inspect") -> Mapping[str, Any]:
        """Return all that the engine knows of it."""
        call = self._client.about(operation, timeout=timeout, container_id=container_id)
        inspected: Mapping[str, Any] = self._client.send(call, "GET", path("/containers/{}/json", container_id))
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
        """Remove it with its log and its anonymous volumes, killing it if it runs; one that is gone is no error."""
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
        call = self._client.about("remove", timeout=timeout, container_id=container_id)
        target = path("/containers/{}", container_id)
        try:
            self._client.send(call, "DELETE", target, params={"force": 1, "v": 1})
        except ContainerError as error:
            if "already in progress" not in error.message:
                raise
            self._client.send(call, "POST", f"{target}/wait", params={"condition": "removed"})

    def _remove_leftover(self, run: ContainerRun) -> None:
        """Remove what a create made whose answer never came; it may appear only after a while."""
        deadline = Deadline(CLEAN_UP)
        backoff = Backoff(deadline)
        while not deadline.passed:
            try:
                if self._remove_created(run, deadline):
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
