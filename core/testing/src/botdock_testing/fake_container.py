"""The containers of the fake engine, and the world they live in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Condition, Thread

import attrs

from botdock.model import (
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    LogChunk,
    Stream,
)
from botdock_testing.fake_rotation import Rotation
from botdock_testing.program import FAREWELL_EXIT_CODE
from botdock_testing.script import Script, Step

SIGKILL = 9
SIGTERM = 15
BASIC_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - shown, never opened
    "USER": "bot",
    "LOGNAME": "bot",
    "LANG": "C.UTF-8",
}
"""What a container of the fake has beside `ContainerTemplate.environment`."""


@attrs.define(eq=False)
class World:
    """What outlives an engine. A thread that reads or changes any of it holds `changed`.

    Attributes:
        changed: The one lock, and the condition that is notified of every change.
        containers: The containers, by identity.
        scripts: What containers of a certain name do.
        images: The images that are there.
        listeners: Called, with `changed` held, after every change.
        watchers: Called, with `changed` held, with each container that ends.
        numbers: Where identities come from.
    """

    changed: Condition = attrs.field(factory=Condition)
    containers: dict[str, FakeContainer] = attrs.field(factory=dict)
    scripts: dict[str, Script] = attrs.field(factory=dict)
    images: set[str] = attrs.field(factory=set)
    listeners: set[Callable[[], None]] = attrs.field(factory=set)
    watchers: set[Callable[[FakeContainer], None]] = attrs.field(factory=set)
    numbers: count[int] = attrs.field(factory=lambda: count(1))

    def notify(self) -> None:
        """Wake all threads that wait for a change."""
        for listener in tuple(self.listeners):
            listener()
        self.changed.notify_all()

    def wait_until(self, happened: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait, at most `timeout` seconds, and return whether it has happened."""
        return self.changed.wait_for(happened, timeout)


@attrs.define(kw_only=True, eq=False)
class FakeContainer:
    """One container.

    Attributes:
        container_id: Its identity.
        template: What it was created from, as others were.
        run: What it was created from, alone.
        script: What it does.
        world: Where it lives.
        log: What it has written so far.
        rotations: What the engine has forgotten of it, by stream.
        result: What it has left as its result.
        status: What the engine says of it.
        removed: Whether it is gone.
        created_at: When it was created, UTC.
    """

    container_id: str
    template: ContainerTemplate
    run: ContainerRun
    script: Script
    world: World
    log: list[LogChunk] = attrs.field(factory=list)
    rotations: dict[Stream, Rotation] = attrs.field(factory=lambda: {stream: Rotation(stream) for stream in Stream})
    result: bytes = b""
    status: ContainerStatus = attrs.field(init=False)
    removed: bool = False
    created_at: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    def __attrs_post_init__(self) -> None:
        self.status = ContainerStatus(container_id=self.container_id, state=ContainerState.CREATED)
        with suppress(OSError):
            self.result = Path(self.run.result).read_bytes()

    @property
    def info(self) -> ContainerInfo:
        """Its line of a listing."""
        return ContainerInfo(
            container_id=self.container_id,
            name=self.run.name,
            image=self.template.image,
            state=self.status.state,
            labels={**self.run.annotations, **self.run.selectors},
            created_at=self.created_at,
        )

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status.state is ContainerState.RUNNING

    @property
    def ended(self) -> bool:
        """Whether it has written its last byte."""
        return self.removed or self.status.state is ContainerState.EXITED

    def start(self) -> None:
        """Begin to play the script, in a thread of its own."""
        self._become(ContainerState.RUNNING, started_at=datetime.now(UTC))
        Thread(target=self._play, name=f"fake-{self.run.name}", daemon=True).start()

    def write(self, chunk: LogChunk) -> None:
        """Write something."""
        self.log.append(chunk)
        self.world.notify()

    def forget(self, stream: Stream, size: int, *, known: bool) -> None:
        """Forget the first bytes of a stream, of what is written so far."""
        written = sum(len(chunk.data) for chunk in self.log if chunk.stream is stream)
        rotation = self.rotations[stream]
        rotation.forgotten = max(rotation.forgotten, min(size, written))
        rotation.known = known

    def kill(self, signal: int) -> None:
        """Send it a signal."""
        if signal == SIGKILL:
            self.finish(exit_code=128 + SIGKILL, signal=SIGKILL)
        elif self.script.farewell is not None:
            self._say(self.script.farewell)
            self.finish(exit_code=FAREWELL_EXIT_CODE)
        elif not self.script.ignores_term:
            self.finish(exit_code=128 + signal, signal=signal)

    def finish(
        self, *, exit_code: int | None, signal: int | None = None, oom_killed: bool = False, error: str = ""
    ) -> None:
        """End it, if it runs."""
        if self.running:
            self._become(
                ContainerState.EXITED,
                exit_code=exit_code,
                signal=signal,
                oom_killed=oom_killed,
                error=error,
                finished_at=datetime.now(UTC),
            )
            for watcher in tuple(self.world.watchers):
                watcher(self)

    def remove(self) -> None:
        """Take it out of the world, killing it first."""
        self.kill(SIGKILL)
        self.removed = True
        self.world.containers.pop(self.container_id, None)
        self.world.notify()

    def _become(self, state: ContainerState, **known: object) -> None:
        self.status = attrs.evolve(self.status, state=state, **known)  # type: ignore[arg-type] # fields by name
        self.world.notify()

    def _say(self, data: bytes) -> None:
        if data:
            self.write(Script.out(data))

    def _play(self) -> None:
        script = self.script
        with self.world.changed:
            if script.shows_environment:
                self._say(_lines({**BASIC_ENVIRONMENT, **self.template.environment}))
            for step in script.output:
                self._take(step)
            if self.running and script.result is not None:
                self.result = script.result
            if script.forever:
                self.world.wait_until(lambda: self.ended)
            self.finish(
                exit_code=script.exit_code, signal=script.signal, oom_killed=script.oom_killed, error=script.error
            )

    def _take(self, step: Step) -> None:
        if self.ended:
            return
        if isinstance(step, LogChunk):
            self.write(step)
        else:
            self.world.wait_until(lambda: self.ended, timeout=step)


def _lines(environment: Mapping[str, str]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in environment.items()).encode()
