"""An engine in memory, for testing what stands above an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botdock.errors import (
    ContainerConflictError,
    ContainerError,
    EngineTimeoutError,
    ImageError,
)
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
from botdock_testing.fake_container import SIGKILL, SIGTERM, FakeContainer
from botdock_testing.fake_controls import FAKE_CAPABILITIES, Behaviour, FakeControls
from botdock_testing.fake_stream import FakeLogStream
from botdock_testing.faults import Call
from botdock_testing.script import Script

__all__ = ["FAKE_CAPABILITIES", "Behaviour", "Call", "FakeEngine", "Script"]

PULLED_BYTES = 1024
"""What every image of the fake weighs."""


class FakeEngine(FakeControls, Engine):
    r"""Runs scripts in place of containers, and fails on request.

    Example:
        >>> engine = FakeEngine(Script(output=(Script.out(b"hi\n"),), exit_code=7))
        >>> engine.fail("start", ContainerError("no"), times=1)   # the first `start` raises, the second works

    Its arguments are those of `FakeControls`.
    """

    def capabilities(self) -> EngineCapabilities:
        """Say what it was told to say."""
        self._enter("capabilities", float("inf"))
        return self._capabilities

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Look for the image among those it was told of."""
        self._enter("ensure_image", timeout, image=image, policy=policy)
        with self._world.changed:
            there = self._any_image or image in self._world.images
            if there and policy is not PullPolicy.ALWAYS:
                return _image_info(image, pulled=False)
            if policy is PullPolicy.NEVER or not (self._any_image or image in self._pullable):
                raise ImageError(f"image {image!r} is absent and may not be pulled", image=image, engine="fake")
            self._world.images.add(image)
        for current in (0, PULLED_BYTES):
            if progress is not None:
                progress(PullProgress(image=image, current=current, total=PULLED_BYTES))
        return _image_info(image, pulled=True)

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Keep what it is made from, and decide what the container will do."""
        self._enter("create", timeout, template=template, run=run)
        self._check(template, run)
        behaviour = self._behaviour
        script = behaviour if isinstance(behaviour, Script) else behaviour(template, run)
        world = self._world
        with world.changed:
            if any(run.name == there.run.name for there in world.containers.values()):
                raise ContainerConflictError(f"there is a container {run.name!r}", engine="fake", operation="create")
            container_id = f"fake-{next(world.numbers)}"
            world.containers[container_id] = FakeContainer(
                container_id=container_id,
                template=template,
                run=run,
                script=world.scripts.get(run.name, script),
                world=world,
            )
            world.notify()
        return ContainerHandle(id=container_id, state={"name": run.name})

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the log from its first byte."""
        self._enter("attach", timeout, container_id=container.id)
        return self._open(container.id, "attach", cursor=LogCursor(), follow=True)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Let the script begin."""
        self._enter("start", timeout, container_id=container.id)
        with self._world.changed:
            found = self._find(container.id, "start")
            if error := found.script.start_error:
                raise ContainerError(error, engine="fake", operation="start", container_id=container.id)
            if found.status.state is ContainerState.CREATED:
                found.start()

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Open the log behind the cursor."""
        self._enter("read_logs", timeout, container_id=container.id, cursor=cursor, follow=follow)
        return self._open(container.id, "read_logs", cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the script's end."""
        self._enter("wait", timeout, container_id=container.id)
        with self._world.changed:
            found = self._find(container.id, "wait")
            self._world.wait_until(lambda: found.ended, timeout)
            return found.status if self._find(container.id, "wait").ended else None

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say how far the script is."""
        self._enter("inspect", timeout, container_id=container.id)
        with self._world.changed:
            return self._find(container.id, "inspect").status

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Send SIGTERM, and SIGKILL when the grace is over."""
        self._enter("stop", timeout, container_id=container.id, grace=grace)
        with self._world.changed:
            found = self._find(container.id, "stop")
            if found.running and grace > 0:
                found.kill(SIGTERM)
                self._world.wait_until(lambda: found.ended, grace)
            found.kill(SIGKILL)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Forget the container."""
        self._enter("remove", timeout, container_id=container.id)
        with self._world.changed:
            if found := self._world.containers.get(container.id):
                found.remove()

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the containers that carry the selectors."""
        self._enter("list", timeout, selectors=dict(selectors))
        with self._world.changed:
            infos = [container.info for container in self._world.containers.values()]
        return [info for info in infos if selectors.items() <= info.labels.items()]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Return what the script left."""
        self._enter("fetch_result", timeout, container_id=container.id, limit=limit)
        with self._world.changed:
            return self._find(container.id, "fetch_result").result[: limit + 1]

    def close(self) -> None:
        """Wake the calls that are late."""
        self.faults.enter("close", {})
        with self._world.changed:
            self._closed = True
            self._world.notify()

    def _enter(self, operation: str, timeout: float, **arguments: Any) -> None:
        delay = self.faults.enter(operation, arguments)
        if not delay:
            return
        with self._world.changed:
            self._world.wait_until(lambda: self._closed, min(delay, timeout))
        if delay > timeout:
            raise EngineTimeoutError(f"no answer within {timeout:g} s", engine="fake", operation=operation)

    def _check(self, template: ContainerTemplate, run: ContainerRun) -> None:
        sources = (template.program, run.code, run.context, run.result) if self._check_mounts else ()
        for source in sources:
            if not Path(source).exists():
                raise ContainerError(f"there is no {source}", engine="fake", operation="create")

    def _open(self, container_id: str, operation: str, *, cursor: LogCursor, follow: bool) -> LogStream:
        with self._world.changed:
            return FakeLogStream(
                self._find(container_id, operation),
                cursor=cursor,
                follow=follow,
                breaks_after=self._breaks.pop(0) if self._breaks else None,
                has_fileno=self._has_fileno,
            )


def _image_info(image: str, *, pulled: bool) -> ImageInfo:
    _, pinned, digest = image.partition("@")
    digest = digest if pinned else f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
    return ImageInfo(reference=image, digest=digest, pulled=pulled)
