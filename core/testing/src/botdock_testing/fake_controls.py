"""What a test says to the fake engine, and what it asks it afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

from botdock.errors import ContainerNotFoundError
from botdock.model import ContainerRun, ContainerTemplate, EngineCapabilities, Feature, LogChunk, Stream
from botdock_testing.fake_container import FakeContainer, World
from botdock_testing.faults import Call, Faults
from botdock_testing.script import Script

Behaviour: TypeAlias = Script | Callable[[ContainerTemplate, ContainerRun], Script]
"""What containers do: all the same, or as a function of what they are created from."""

FAKE_CAPABILITIES = EngineCapabilities(engine="fake", version="1", enforced=frozenset(Feature))
"""It claims to enforce everything, so that the strictest policy lets it pass."""


class FakeControls:
    """The part of the fake engine that is not an engine.

    Args:
        behaviour: What containers do.
        capabilities: What it says of itself.
        images: Images that are there; None for whatever is asked for.
        pullable: Images that can be pulled when they are absent.
        check_mounts: Whether `create` refuses a mount whose source does not exist, as real engines do.
        has_fileno: Whether its log streams have a descriptor.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        capabilities: EngineCapabilities = FAKE_CAPABILITIES,
        images: Sequence[str] | None = None,
        pullable: Sequence[str] = (),
        check_mounts: bool = False,
        has_fileno: bool = True,
    ) -> None:
        self._behaviour: Behaviour = behaviour or Script()
        self._capabilities = capabilities
        self._any_image = images is None
        self._pullable = frozenset(pullable)
        self._check_mounts = check_mounts
        self._has_fileno = has_fileno
        self._breaks: list[int] = []
        self._closed = False
        self._world = World(images=set(images or ()))
        self.faults = Faults()

    def script(self, name: str, script: Script) -> None:
        """Let the container that will be called `name` do `script`, whatever the others do."""
        self._world.scripts[name] = script

    def fail(self, operation: str, error: Exception, *, times: int | None = 1, after: int = 0) -> None:
        """Let calls raise; see `Faults.fail`."""
        self.faults.fail(operation, error, times=times, after=after)

    def delay(self, operation: str, seconds: float) -> None:
        """Let calls be late; one that is later than its timeout raises `EngineTimeoutError` at its timeout."""
        self.faults.delay(operation, seconds)

    def break_stream(self, after: int, *, times: int = 1) -> None:
        """Let the next `times` streams that are opened break after `after` bytes."""
        self._breaks.extend([after] * times)

    def restart(self, *, calls: int = 0) -> None:
        """Restart the engine under its containers, which live on: open streams break, the next `calls` calls fail."""
        self.faults.be_away(calls)
        with self._world.changed:
            for cut in tuple(self._world.cuts):
                cut()
            self._world.notify()

    def lose(self, container_id: str, stream: Stream, size: int, *, known: bool = True) -> None:
        """Forget the first `size` bytes of a stream, as far as they are written, as a log driver that rotates.

        Streams that are open have them already. One that is opened behind them reports what it has `lost`; `known`
        says whether with its size.
        """
        with self._world.changed:
            self._find(container_id, "lose").forget(stream, size, known=known)

    def emit(self, container_id: str, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        """Let a container write something now."""
        with self._world.changed:
            self._find(container_id, "emit").write(LogChunk(stream, data))

    def finish(self, container_id: str, *, exit_code: int | None = 0, oom_killed: bool = False) -> None:
        """Let a running container end now, of itself."""
        with self._world.changed:
            self._find(container_id, "finish").finish(exit_code=exit_code, oom_killed=oom_killed)

    def successor(self) -> Self:
        """Return another engine over the same containers and images, as a runner has it that takes over."""
        other = copy.copy(self)
        vars(other).update(faults=Faults(), _breaks=[], _closed=False)
        return other

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls that it got, in their order."""
        return self.faults.calls

    @property
    def operations(self) -> tuple[str, ...]:
        """The methods that were called, in their order."""
        return tuple(call.operation for call in self.calls)

    def _find(self, container_id: str, operation: str) -> FakeContainer:
        try:
            return self._world.containers[container_id]
        except KeyError:
            raise ContainerNotFoundError(
                f"there is no container {container_id!r}",
                engine="fake",
                operation=operation,
                container_id=container_id,
            ) from None
