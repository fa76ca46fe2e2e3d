"""Engines that break a promise: the fake one, with a method or its streams replaced."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import ContainerConflictError, ContainerError, ContainerNotFoundError
from botdock.model import ContainerState, LogChunk, LogStream, Stream
from botdock_testing.fake_engine import FakeEngine

SHORT = 0.3
"""Seconds after which a test gives up that is shown something broken: it fails however long it waits."""
Override = Callable[..., Any]


class Altered(LogStream):
    """The stream of an engine, but for what a mutant changes."""

    def __init__(self, stream: LogStream, **changes: Override) -> None:
        self._stream = stream
        self._changes = changes
        self.closed = 0

    def __getattribute__(self, name: str) -> Any:
        changes = object.__getattribute__(self, "_changes") if not name.startswith("_") else {}
        if name in changes:
            return lambda *arguments: changes[name](self, self._stream, *arguments)
        return object.__getattribute__(self, name)

    @property
    def ended(self) -> bool:
        return self._stream.ended

    def read(self, timeout: float) -> Sequence[LogChunk]:
        return self._stream.read(timeout)

    def fileno(self) -> int | None:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()


def mutant(**methods: Override) -> type[FakeEngine]:
    """Return an engine some of whose methods are replaced; each gets the healthy method, and what it is called with."""

    def replaced(name: str, change: Override) -> Override:
        return lambda self, *a, **k: change(lambda *b, **m: getattr(FakeEngine, name)(self, *b, **m), self, *a, **k)

    return type("Mutant", (FakeEngine,), {name: replaced(name, change) for name, change in methods.items()})


def status(**changes: Any) -> type[FakeEngine]:
    """Return an engine that tells ends otherwise; a change that can be called gets the true status."""

    def tell(healthy: Override, _: FakeEngine, *arguments: Any, **named: Any) -> Any:
        true = healthy(*arguments, **named)
        if true is None:
            return None
        return attrs.evolve(true, **{name: new(true) if callable(new) else new for name, new in changes.items()})

    return mutant(wait=tell)


def stream(**changes: Override) -> type[FakeEngine]:
    def opened(healthy: Override, _: FakeEngine, *arguments: Any, **named: Any) -> Any:
        return Altered(healthy(*arguments, **named), **changes)

    return mutant(attach=opened, read_logs=opened)


def chunks(change: Callable[[bytes], bytes]) -> type[FakeEngine]:
    def read(_: Altered, healthy: LogStream, timeout: float) -> list[LogChunk]:
        changed = [LogChunk(chunk.stream, change(chunk.data)) for chunk in healthy.read(timeout)]
        return [chunk for chunk in changed if chunk.data]

    return stream(read=read)


def started_with(**environment: str) -> type[FakeEngine]:
    """Return an engine that gives a bot more variables than it was told to."""
    return mutant(
        create=lambda healthy, _, template, run, **k: healthy(
            attrs.evolve(template, environment={**environment, **template.environment}), run, **k
        )
    )


def stop_only_asks(healthy: Override, engine: FakeEngine, container: Any, **_: Any) -> None:
    with engine.world.changed:
        engine._scripted.find(container.id, "stop").kill(15)


def stop_rewrites(healthy: Override, engine: FakeEngine, container: Any, **how: Any) -> None:
    healthy(container, **how)
    found = engine.world.containers[container.id]
    found.status = attrs.evolve(found.status, exit_code=137)


def stop_wants_a_start(healthy: Override, engine: FakeEngine, container: Any, **how: Any) -> None:
    if engine.inspect(container, timeout=1).state is ContainerState.CREATED:
        raise ContainerError("it does not run", engine="fake", operation="stop")
    healthy(container, **how)


def start_says_nothing(healthy: Override, *arguments: Any, **named: Any) -> None:
    with suppress(ContainerError):
        healthy(*arguments[1:], **named)


def create_remembers(healthy: Override, engine: FakeEngine, template: Any, run: Any, **how: Any) -> Any:
    used = vars(engine).setdefault("used", set())
    if run.name in used:
        raise ContainerConflictError("the name was used once", engine="fake", operation="create")
    used.add(run.name)
    return healthy(template, run, **how)


def create_makes_its_folder(healthy: Override, _: FakeEngine, template: Any, run: Any, **how: Any) -> Any:
    Path(run.code).mkdir(exist_ok=True)
    return healthy(template, run, **how)


def stop_with(grace: float) -> type[FakeEngine]:
    return mutant(stop=lambda healthy, _, container, **how: healthy(container, **{**how, "grace": grace}))


def remove_wants_one(healthy: Override, engine: FakeEngine, container: Any, **how: Any) -> None:
    engine.inspect(container, **how)
    healthy(container, **how)


def wants_its_state(healthy: Override, _: FakeEngine, container: Any, **how: Any) -> Any:
    if not container.state:
        raise ContainerNotFoundError("what is its name?", engine="fake", operation="wait", container_id=container.id)
    return healthy(container, **how)


def close_stops_all(healthy: Override, engine: FakeEngine) -> None:
    for container in list(engine.world.containers):
        engine.finish(container)


def attach_the_first(healthy: Override, engine: FakeEngine, container: Any, **how: Any) -> Any:
    return healthy(attrs.evolve(container, id=next(iter(engine.world.containers))), **how)


def late(_: Altered, healthy: LogStream, timeout: float) -> Any:
    time.sleep(4 * SHORT)
    return healthy.read(timeout)


def once(altered: Altered, healthy: LogStream) -> None:
    assert not altered.closed, "it is closed"
    altered.closed += 1
    healthy.close()


@functools.cache
def silent() -> tuple[int, int]:
    return os.pipe()


def again(_: Altered, healthy: LogStream, timeout: float) -> Any:
    return [LogChunk(Stream.STDOUT, b"hi\n")] if healthy.ended else healthy.read(timeout)
