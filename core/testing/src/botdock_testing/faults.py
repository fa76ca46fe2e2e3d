"""What goes wrong with an engine, as data: for testing what stands above one; see `FaultyEngine`."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock
from typing import Any

import attrs

from botdock.errors import EngineUnavailableError
from botdock.model import ContainerHandle

OPERATIONS = (
    "attach",
    "capabilities",
    "close",
    "create",
    "ensure_image",
    "events",
    "fetch_result",
    "inspect",
    "list",
    "prepare",
    "read_logs",
    "remove",
    "remove_image",
    "start",
    "stop",
    "wait",
)
"""The methods of an engine."""

ANY = "any"
"""As the operation of a fault: whichever call comes next, but `close`."""
STREAM = "stream"
"""As the operation of a fault: each call that opens a log, `attach` or `read_logs`."""
_NAMES: Mapping[str, tuple[str, ...]] = {
    "create": ("template", "run"),
    "ensure_image": ("image",),
    "events": ("selectors",),
    "list": ("selectors",),
    "prepare": ("template", "count"),
}
"""What the first arguments are called of calls that are not about one container."""
_OPENS = frozenset({"attach", "read_logs"})


class FaultKind(StrEnum):
    """What happens to a call, or to the container that it is about.

    Attributes:
        SLOW: It takes `seconds` longer. One that would take longer than its timeout has no effect, and raises
            `EngineTimeoutError` at its timeout: so with infinite `seconds`, the default, it hangs.
        FAIL: It raises, and has no effect.
        FAIL_AFTER: It takes effect, and raises all the same: its answer is lost.
        CUT: What it opens, a log or events, breaks after `size` bytes, or ends.
        LOSE: The events that it opens do not tell of the first `size` ends.
        KILL: Its container is killed, as by `docker kill`; then it goes on. Of a create: once it is there.
        OOM: The same, and its end is shown as one for want of memory.
        VANISH: Its container is removed, then it goes on.
        RESTART: The engine restarts under its containers: all that is open breaks, and this call raises.
        END_ALL: The same, and all containers that run end with the engine.
    """

    SLOW = "slow"
    FAIL = "fail"
    FAIL_AFTER = "fail_after"
    CUT = "cut"
    LOSE = "lose"
    KILL = "kill"
    OOM = "oom"
    VANISH = "vanish"
    RESTART = "restart"
    END_ALL = "end_all"


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, as data.

    Example:
        >>> Fault(operation="create", kind=FaultKind.FAIL_AFTER).times
        1
        >>> Fault(operation="begin")
        Traceback (most recent call last):
        ValueError: an engine has no operation 'begin'; it has any, stream, attach, capabilities, close, create, ...

    Attributes:
        operation: Of which calls: one of `OPERATIONS`, `ANY` or `STREAM`.
        kind: What happens.
        after: How many of these calls are spared before.
        times: How many are hit; None for all from then on.
        error: What is raised, where something is.
        seconds: How late a slow one is.
        size: Bytes of a log, or ends that events tell of.
    """

    operation: str = attrs.field()
    kind: FaultKind = FaultKind.FAIL
    after: int = 0
    times: int | None = 1
    error: Exception = attrs.field(factory=lambda: EngineUnavailableError("the engine does not answer"))
    seconds: float = float("inf")
    size: int = 0

    @operation.validator
    def _exists(self, _attribute: object, operation: str) -> None:
        if operation not in {*OPERATIONS, ANY, STREAM}:
            known = ", ".join((ANY, STREAM, *OPERATIONS))
            raise ValueError(f"an engine has no operation {operation!r}; it has {known}")


@attrs.frozen(kw_only=True)
class Call:
    """A call that an engine got.

    Attributes:
        operation: The method; `read` for one of a log or of events.
        arguments: What it was given, by name.
    """

    operation: str
    arguments: Mapping[str, Any]


@attrs.define
class _Turn:
    """A fault, and how many calls it has still to spare, and to hit."""

    fault: Fault
    spares: int
    left: float

    def hits(self) -> bool:
        if self.spares > 0:
            self.spares -= 1
            return False
        self.left -= 1
        return True


class Faults:
    """The script of an engine: what goes wrong with which call, and which calls there were; safe for several threads.

    Faults of one operation take turns: one begins to count when the one before it is spent. Those of `ANY` come before
    those of the operation, and these before those of `STREAM`. Slow ones have turns of their own, so that a call can
    be late and fail.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._turns: dict[tuple[str, bool], deque[_Turn]] = defaultdict(deque)
        self._calls: list[Call] = []

    def add(self, *faults: Fault) -> None:
        """Let these happen, each in its turn."""
        with self._lock:
            for fault in faults:
                left = float("inf") if fault.times is None else fault.times
                self._turns[_lane(fault)].append(_Turn(fault, fault.after, left))

    def clear(self, operation: str | None = None) -> None:
        """Let nothing happen any more that has not happened yet; with `operation`, to calls of that one."""
        with self._lock:
            for lane in [lane for lane in self._turns if operation in {None, lane[0]}]:
                del self._turns[lane]

    def note(self, call: Call) -> tuple[float, Fault | None]:
        """Note a call; return by how many seconds it is late, and what else happens to it."""
        operation = call.operation
        lanes = [operation, *([STREAM] if operation in _OPENS else [])]
        if operation != "close":
            lanes.insert(0, ANY)
        with self._lock:
            self._calls.append(call)
            slow = self._next([(lane, True) for lane in lanes])
            return (slow.seconds if slow else 0.0), self._next([(lane, False) for lane in lanes])

    def _next(self, lanes: list[tuple[str, bool]]) -> Fault | None:
        for lane in lanes:
            turns = self._turns.get(lane)
            if turns and (turn := turns[0]).hits():
                if turn.left <= 0:
                    turns.popleft()
                return turn.fault
        return None

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls so far, the failed ones too, in their order."""
        with self._lock:
            return tuple(self._calls)


def _lane(fault: Fault) -> tuple[str, bool]:
    return fault.operation, fault.kind is FaultKind.SLOW


def call_of(operation: str, *arguments: object, **options: object) -> Call:
    """Return a call by what it is about: a container by its identity, and the timeout left out."""
    named: dict[str, Any] = dict(zip(_NAMES.get(operation, ("container_id",)), arguments, strict=False))
    named |= {name: value for name, value in options.items() if name != "timeout"}
    if isinstance(container := named.get("container_id"), ContainerHandle):
        named["container_id"] = container.id
    return Call(operation=operation, arguments=named)
