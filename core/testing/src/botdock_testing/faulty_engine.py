"""An engine that fails as it is told to, over any other engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event, Lock
from typing import Any, ParamSpec, TypeVar

import attrs

from botdock.errors import BotdockError, EngineTimeoutError
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
from botdock_testing.faults import ANY, STREAM, Call, Fault, FaultKind, Faults, call_of
from botdock_testing.faulty_stream import FaultyEvents, FaultyStream

__all__ = ["Call", "Fault", "FaultKind", "FaultyEngine"]

P = ParamSpec("P")
T = TypeVar("T")
_Opened = TypeVar("_Opened", FaultyStream, FaultyEvents)
LONGEST = 60.0
"""Seconds after which a call ends that has no timeout and is to hang."""
_CALL = 10.0
"""Seconds for a call of ours to the engine below."""
_SIGKILL = 9
_ABOUT_A_CONTAINER = frozenset({FaultKind.KILL, FaultKind.OOM, FaultKind.VANISH})


@attrs.define(eq=False)
class _Shared:
    """What all runners of one machine share: what is open, and what was killed for want of memory."""

    lock: Lock = attrs.field(factory=Lock)
    open: set[FaultyStream | FaultyEvents] = attrs.field(factory=set)
    out_of_memory: set[str] = attrs.field(factory=set)


class FaultyEngine(Engine):
    """Passes every call on to another engine, but for what a script of faults says.

    Example:
        ```python
        from botdock_testing import Fault, FaultKind, FaultyEngine

        engine = FaultyEngine(
            my_engine,
            Fault(operation="create", kind=FaultKind.FAIL_AFTER),  # it is created, and no answer comes
            Fault(operation="wait", kind=FaultKind.OOM, after=3),
            Fault(operation="stream", kind=FaultKind.CUT, size=100, times=None),
        )
        ```

    Attributes:
        faults: The script; faults can be added at any time.

    Args:
        engine: The other engine.
        *faults: What goes wrong.
        before: Called with each call before it is passed on, `read`s of logs and events among them, in the thread of
            the caller: it may wait or raise, for what data cannot say.
    """

    def __init__(self, engine: Engine, *faults: Fault, before: Callable[[Call], None] | None = None) -> None:
        self.faults = Faults()
        self.faults.add(*faults)
        self._engine = engine
        self._before = before or (lambda _call: None)
        self._shared = _Shared()
        self._closed = Event()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls that it got, in their order."""
        return self.faults.calls

    @property
    def operations(self) -> tuple[str, ...]:
        """The methods that were called, in their order."""
        return tuple(call.operation for call in self.calls)

    def fail(self, operation: str, error: Exception, *, times: int | None = 1, after: int = 0) -> None:
        """Let calls raise, without an effect; see `Fault`."""
        self.faults.add(Fault(operation=operation, error=error, times=times, after=after))

    def delay(self, operation: str, seconds: float) -> None:
        """Let every call be late from now on; 0 ends that."""
        fault = Fault(operation=operation, kind=FaultKind.SLOW, seconds=seconds, times=None)
        self.faults.clear(operation)
        if seconds:
            self.faults.add(fault)

    def break_stream(self, after: int, *, times: int = 1) -> None:
        """Let the next `times` logs that are opened break after `after` bytes."""
        self.faults.add(Fault(operation=STREAM, kind=FaultKind.CUT, size=after, times=times))

    def restart(self, *, calls: int = 0, containers_end: bool = False) -> None:
        """Restart the engine now: all that is open breaks, the next `calls` calls fail, and containers may end.

        Another restart before they have failed begins to count anew.
        """
        self.faults.clear(ANY)
        if calls:
            self.faults.add(Fault(operation=ANY, times=calls))
        with self._shared.lock:
            opened = list(self._shared.open)
        for one in opened:
            one.cut()
        if containers_end:
            for info in self._engine.list({}, timeout=_CALL):
                if info.state is ContainerState.RUNNING:
                    self.kill(info.container_id)

    def kill(self, container_id: str, *, oom: bool = False) -> None:
        """Kill a container behind the runner's back; with `oom`, for want of memory."""
        if oom:
            self._shared.out_of_memory.add(container_id)
        with suppress(BotdockError):
            self._engine.stop(ContainerHandle(id=container_id), grace=0.0, timeout=_CALL)

    def vanish(self, container_id: str) -> None:
        """Remove a container behind the runner's back."""
        self._engine.remove(ContainerHandle(id=container_id), timeout=_CALL)

    def capabilities(self) -> EngineCapabilities:
        """Say what the other one says."""
        return self._pass("capabilities", self._engine.capabilities)

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Pass it on."""
        ensure = partial(self._engine.ensure_image, progress=progress)
        return self._pass("ensure_image", ensure, image, policy=policy, timeout=timeout)

    def remove_image(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:
        """Pass it on."""
        remove = partial(self._engine.remove_image, dry_run=dry_run)
        return self._pass("remove_image", remove, reference, image_id, timeout=timeout)

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Pass it on."""
        return self._pass("create", self._engine.create, template, run, timeout=timeout)

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Pass it on."""
        return self._open("attach", self._engine.attach, container, timeout=timeout)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Pass it on."""
        self._pass("start", self._engine.start, container, timeout=timeout)

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Pass it on."""
        read = self._engine.read_logs
        return self._open("read_logs", read, container, cursor=cursor, follow=follow, timeout=timeout)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Pass it on."""
        status = self._pass("wait", self._engine.wait, container, timeout=timeout)
        return self._shown(status) if status else None

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Pass it on."""
        return self._shown(self._pass("inspect", self._engine.inspect, container, timeout=timeout))

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Pass it on."""
        self._pass("stop", self._engine.stop, container, grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Pass it on."""
        self._pass("remove", self._engine.remove, container, timeout=timeout)

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """Pass it on."""
        return self._pass("list", self._engine.list, selectors, timeout=timeout)

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Pass it on."""
        return self._pass("fetch_result", self._engine.fetch_result, container, limit=limit, timeout=timeout)

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents | None:
        """Pass it on."""
        call = call_of("events", selectors)
        fault = self._enter(call, timeout)
        events = self._do(call, fault, lambda: self._engine.events(selectors, timeout=timeout))
        if events is None:
            return None
        loses = fault.size if fault and fault.kind is FaultKind.LOSE else 0
        before_read = partial(self._before, call_of("read"))
        return self._keep(FaultyEvents(events, _cut(fault), loses, before_read, self._forget))

    def prepare(self, template: ContainerTemplate, count: int, *, timeout: float) -> bool:
        """Pass it on."""
        return self._pass("prepare", self._engine.prepare, template, count, timeout=timeout)

    def close(self) -> None:
        """Wake the calls that are late, and close the other one."""
        self._pass("close", self._engine.close)
        self._closed.set()

    def _pass(self, operation: str, act: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        call = call_of(operation, *arguments, **options)
        fault = self._enter(call, options.get("timeout", LONGEST))
        return self._do(call, fault, lambda: act(*arguments, **options))

    def _open(self, operation: str, act: Callable[P, LogStream], *arguments: P.args, **options: P.kwargs) -> LogStream:
        call = call_of(operation, *arguments, **options)
        fault = self._enter(call, options.get("timeout", LONGEST))
        container_id = call.arguments["container_id"]
        opened = self._do(call, fault, lambda: act(*arguments, **options))
        before_read = partial(self._before, Call(operation="read", arguments={"container_id": container_id}))
        return self._keep(FaultyStream(opened, container_id, _cut(fault), before_read, self._forget))

    def _enter(self, call: Call, timeout: Any) -> Fault | None:
        self._before(call)
        late, fault = self.faults.note(call)
        if late:
            self._closed.wait(min(late, timeout))
        if late > timeout:
            raise EngineTimeoutError(f"no answer within {timeout:g} s", operation=call.operation)
        return fault

    def _do(self, call: Call, fault: Fault | None, act: Callable[[], T]) -> T:
        kind = fault.kind if fault else None
        container_id = call.arguments.get("container_id")
        if kind in {FaultKind.RESTART, FaultKind.END_ALL}:
            self.restart(containers_end=kind is FaultKind.END_ALL)
        if kind in _ABOUT_A_CONTAINER and container_id is not None:
            self._harm(kind, container_id)
        if fault and kind in {FaultKind.RESTART, FaultKind.END_ALL, FaultKind.FAIL}:
            raise fault.error
        value = act()
        if isinstance(value, ContainerHandle) and kind in _ABOUT_A_CONTAINER:
            self._harm(kind, value.id)
        if fault and kind is FaultKind.FAIL_AFTER:
            if isinstance(value, LogStream | EngineEvents):
                value.close()
            raise fault.error
        return value

    def _harm(self, kind: FaultKind | None, container_id: str) -> None:
        if kind is FaultKind.VANISH:
            self.vanish(container_id)
        else:
            self.kill(container_id, oom=kind is FaultKind.OOM)

    def _keep(self, opened: _Opened) -> _Opened:
        with self._shared.lock:
            self._shared.open.add(opened)
        return opened

    def _forget(self, closed: FaultyStream | FaultyEvents) -> None:
        with self._shared.lock:
            self._shared.open.discard(closed)

    def _shown(self, status: ContainerStatus) -> ContainerStatus:
        """Say of what was killed for want of memory that it was; of what had ended before, how it ended."""
        killed = _SIGKILL in {status.signal, (status.exit_code or 0) - 128}
        if status.container_id not in self._shared.out_of_memory or not killed:
            return status
        return attrs.evolve(status, exit_code=128 + _SIGKILL, signal=_SIGKILL, oom_killed=True)


def _cut(fault: Fault | None) -> int | None:
    return fault.size if fault and fault.kind is FaultKind.CUT else None
