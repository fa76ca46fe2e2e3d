"""Scripts in place of containers: what the fake engine is but for its faults."""

# ruff: noqa: ARG002 - nothing here takes time, so no timeout is needed

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs

from botdock.errors import ContainerConflictError, ContainerError, ContainerNotFoundError, ImageError
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    Engine,
    EngineCapabilities,
    EngineEvents,
    ImageInfo,
    LogCursor,
    LogStream,
    PullPolicy,
    PullProgress,
)
from botdock.model.container import LABEL_EXECUTABLE
from botdock_testing.fake_container import SIGKILL, SIGTERM, FakeContainer, World
from botdock_testing.fake_stream import FakeEvents, FakeLogStream
from botdock_testing.script import Script

Behaviour: TypeAlias = Script | Callable[[ContainerTemplate, ContainerRun], Script]
"""What containers do: all the same, or as a function of what they are created from."""

PULLED_BYTES = 1024
"""What every image of the fake weighs."""


@attrs.define(kw_only=True, eq=False)
class ScriptedEngine(Engine):
    """Plays scripts, and keeps the contract of engines; see `FakeEngine` for its arguments.

    Attributes:
        world: Its containers, which outlive it.
    """

    behaviour: Behaviour
    known: EngineCapabilities
    any_image: bool
    pullable: frozenset[str]
    check_mounts: bool
    has_fileno: bool
    has_events: bool
    keeps_waiting: bool
    world: World

    def capabilities(self) -> EngineCapabilities:
        """Say what it was told to say."""
        return self.known

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Look for the image among those it was told of."""
        with self.world.changed:
            there = self.any_image or image in self.world.images
            if there and policy is not PullPolicy.ALWAYS:
                return _image_info(image, pulled=False)
            if policy is PullPolicy.NEVER or not (self.any_image or image in self.pullable):
                raise ImageError(f"image {image!r} is absent and may not be pulled", image=image, engine="fake")
            self.world.images.add(image)
        for current in (0, PULLED_BYTES):
            if progress is not None:
                progress(PullProgress(image=image, current=current, total=PULLED_BYTES))
        return _image_info(image, pulled=True)

    def remove_image(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:
        """Forget the image, unless a container was made of it."""
        with self.world.changed:
            if any(reference == there.template.image for there in self.world.containers.values()):
                return None
            size = PULLED_BYTES if reference in self.world.images else 0
            if not dry_run:
                self.world.images.discard(reference)
        return size

    def prepare(self, template: ContainerTemplate, count: int, *, timeout: float) -> bool:
        """Say what it was told to say."""
        return self.keeps_waiting

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Keep what it is made from, and decide what the container will do."""
        self._check(template, run)
        world = self.world
        named = (world.scripts.get(name) for name in (run.name, run.annotations.get(LABEL_EXECUTABLE, "")))
        script = next(filter(None, named), None) or self._behaviour(template, run)
        with world.changed:
            if any(run.name == there.run.name for there in world.containers.values()):
                raise ContainerConflictError(f"there is a container {run.name!r}", engine="fake", operation="create")
            container_id = f"fake-{next(world.numbers)}"
            world.containers[container_id] = FakeContainer(
                container_id=container_id,
                template=template,
                run=run,
                script=script,
                world=world,
            )
            world.notify()
        return ContainerHandle(id=container_id, state={"name": run.name})

    def _behaviour(self, template: ContainerTemplate, run: ContainerRun) -> Script:
        return self.behaviour if isinstance(self.behaviour, Script) else self.behaviour(template, run)

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the log from its first byte."""
        return self._open(container.id, "attach", cursor=LogCursor(), follow=True)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Let the script begin."""
        with self.world.changed:
            found = self.find(container.id, "start")
            if error := found.script.start_error:
                raise ContainerError(error, engine="fake", operation="start", container_id=container.id)
            if found.status.state is ContainerState.CREATED:
                found.start()

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Open the log behind the cursor."""
        return self._open(container.id, "read_logs", cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the script's end."""
        with self.world.changed:
            found = self.find(container.id, "wait")
            self.world.wait_until(lambda: found.ended, timeout)
            return found.status if self.find(container.id, "wait").ended else None

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say how far the script is."""
        with self.world.changed:
            return self.find(container.id, "inspect").status

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Send SIGTERM, and SIGKILL when the grace is over."""
        with self.world.changed:
            found = self.find(container.id, "stop")
            if found.running and grace > 0:
                found.kill(SIGTERM)
                self.world.wait_until(lambda: found.ended, grace)
            found.kill(SIGKILL)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Forget the container."""
        with self.world.changed:
            if found := self.world.containers.get(container.id):
                found.remove()

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the containers that carry the selectors."""
        with self.world.changed:
            infos = [container.info for container in self.world.containers.values()]
        return [info for info in infos if selectors.items() <= info.labels.items()]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Return what the script left."""
        with self.world.changed:
            return self.find(container.id, "fetch_result").result[: limit + 1]

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents | None:
        """Tell of each end from now on, if it has events."""
        return FakeEvents(self.world, dict(selectors)) if self.has_events else None

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def find(self, container_id: str, operation: str) -> FakeContainer:
        """Return a container; the caller holds `world.changed`.

        Raises:
            ContainerNotFoundError: It is gone.
        """
        try:
            return self.world.containers[container_id]
        except KeyError:
            raise ContainerNotFoundError(
                f"there is no container {container_id!r}",
                engine="fake",
                operation=operation,
                container_id=container_id,
            ) from None

    def _check(self, template: ContainerTemplate, run: ContainerRun) -> None:
        sources = (template.program, run.code, run.context, run.result) if self.check_mounts else ()
        for source in sources:
            if not Path(source).exists():
                raise ContainerError(f"there is no {source}", engine="fake", operation="create")

    def _open(self, container_id: str, operation: str, *, cursor: LogCursor, follow: bool) -> LogStream:
        with self.world.changed:
            return FakeLogStream(
                self.find(container_id, operation), cursor=cursor, follow=follow, has_fileno=self.has_fileno
            )


def _image_info(image: str, *, pulled: bool) -> ImageInfo:
    _, pinned, digest = image.partition("@")
    digest = digest if pinned else f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
    return ImageInfo(reference=image, digest=digest, pulled=pulled)
