"""An engine in memory, for testing what stands above an engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from threading import Event
from typing import Self

from botdock.model import EngineCapabilities, Feature, LogChunk, Stream
from botdock_testing._scripted_engine import Behaviour, ScriptedEngine
from botdock_testing.fake_container import World
from botdock_testing.faults import Call, Fault, Faults
from botdock_testing.faulty_engine import FaultyEngine
from botdock_testing.script import Script

__all__ = ["FAKE_CAPABILITIES", "Behaviour", "Call", "FakeEngine", "Script"]

FAKE_CAPABILITIES = EngineCapabilities(engine="fake", version="1", enforced=frozenset(Feature))
"""It claims to enforce everything, so that the strictest policy lets it pass."""


class FakeEngine(FaultyEngine):
    r"""Runs scripts in place of containers, and fails on request.

    Example:
        >>> engine = FakeEngine(Script(output=(Script.out(b"hi\n"),), exit_code=7))
        >>> engine.fail("start", ContainerError("no"), times=1)   # the first `start` raises, the second works

    Args:
        behaviour: What containers do.
        *faults: What goes wrong; see `FaultyEngine`.
        capabilities: What it says of itself.
        images: Images that are there; None for whatever is asked for.
        pullable: Images that can be pulled when they are absent.
        check_mounts: Whether `create` refuses a mount whose source does not exist, as real engines do.
        has_fileno: Whether its log streams have a descriptor.
        has_events: Whether it tells of the ends of containers.
        keeps_waiting: Whether it says that containers can wait for what they are told, as `behaviour` then sees to.
        before: Called with each call; see `FaultyEngine`.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *faults: Fault,
        capabilities: EngineCapabilities = FAKE_CAPABILITIES,
        images: Sequence[str] | None = None,
        pullable: Sequence[str] = (),
        check_mounts: bool = False,
        has_fileno: bool = True,
        has_events: bool = False,
        keeps_waiting: bool = False,
        before: Callable[[Call], None] | None = None,
    ) -> None:
        self._scripted = ScriptedEngine(
            behaviour=behaviour or Script(),
            known=capabilities,
            any_image=images is None,
            pullable=frozenset(pullable),
            check_mounts=check_mounts,
            has_fileno=has_fileno,
            has_events=has_events,
            keeps_waiting=keeps_waiting,
            world=World(images=set(images or ())),
        )
        super().__init__(self._scripted, *faults, before=before)

    @property
    def world(self) -> World:
        """What outlives it: its containers, and those of its successors."""
        return self._scripted.world

    def script(self, name: str, script: Script) -> None:
        """Let the containers of the executable of that id, or the one of that name, do `script`, whatever others do."""
        self.world.scripts[name] = script

    def lose(self, container_id: str, stream: Stream, size: int, *, known: bool = True) -> None:
        """Forget the first `size` bytes of a stream, as far as they are written, as a log driver that rotates.

        Streams that are open have them already. One that is opened behind them reports what it has `lost`; `known`
        says whether with its size.
        """
        with self.world.changed:
            self._scripted.find(container_id, "lose").forget(stream, size, known=known)

    def emit(self, container_id: str, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        """Let a container write something now."""
        with self.world.changed:
            self._scripted.find(container_id, "emit").write(LogChunk(stream, data))

    def finish(self, container_id: str, *, exit_code: int | None = 0, oom_killed: bool = False) -> None:
        """Let a running container end now, of itself."""
        with self.world.changed:
            self._scripted.find(container_id, "finish").finish(exit_code=exit_code, oom_killed=oom_killed)

    def successor(self, *, before: Callable[[Call], None] | None = None) -> Self:
        """Return another engine over the same containers and images, as a runner has it that takes over."""
        other = copy.copy(self)
        vars(other).update(faults=Faults(), _closed=Event(), _before=before or (lambda _call: None))
        return other
