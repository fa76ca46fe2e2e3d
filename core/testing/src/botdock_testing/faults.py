"""Failures on request: for testing what stands above an engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import attrs

from botdock.errors import EngineUnavailableError

OPERATIONS = (
    "attach",
    "capabilities",
    "close",
    "create",
    "ensure_image",
    "fetch_result",
    "inspect",
    "list",
    "read_logs",
    "remove",
    "start",
    "stop",
    "wait",
)
"""The methods of an engine."""


@attrs.frozen(kw_only=True)
class Call:
    """A call that an engine got.

    Attributes:
        operation: The method.
        arguments: What it was given, by name.
    """

    operation: str
    arguments: Mapping[str, Any]


@attrs.define(kw_only=True)
class _Fault:
    error: Exception
    times: int | None
    after: int

    def next_error(self) -> Exception | None:
        if self.after > 0:
            self.after -= 1
            return None
        if self.times is not None:
            self.times -= 1
        return self.error

    @property
    def spent(self) -> bool:
        return self.times is not None and self.times <= 0


class Faults:
    """Which calls fail, which are late, and which there were; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: dict[str, list[_Fault]] = defaultdict(list)
        self._delays: dict[str, float] = {}
        self._calls: list[Call] = []
        self._away = 0

    def fail(self, operation: str, error: Exception, *, times: int | None = 1, after: int = 0) -> None:
        """Let calls of `operation` raise `error`.

        Args:
            operation: One of `OPERATIONS`.
            error: What is raised.
            times: How many calls fail; None for all from then on.
            after: How many calls succeed before.

        Raises:
            ValueError: There is no such operation.
        """
        with self._lock:
            self._faults[_checked(operation)].append(_Fault(error=error, times=times, after=after))

    def delay(self, operation: str, seconds: float) -> None:
        """Let every call of `operation` take `seconds` longer; 0 ends that.

        Raises:
            ValueError: There is no such operation.
        """
        with self._lock:
            self._delays[_checked(operation)] = seconds

    def be_away(self, calls: int) -> None:
        """Let the next `calls` calls fail, whichever they are, as those to an engine that is being restarted."""
        with self._lock:
            self._away = calls

    def enter(self, operation: str, arguments: Mapping[str, Any]) -> float:
        """Note a call, raise what is due, and return by how many seconds the call is late."""
        with self._lock:
            self._calls.append(Call(operation=operation, arguments=dict(arguments)))
            error = self._next_error(operation)
            delay = self._delays.get(operation, 0.0)
        if error is not None:
            raise error
        return delay

    def _next_error(self, operation: str) -> Exception | None:
        if self._away and operation != "close":
            self._away -= 1
            return EngineUnavailableError("the engine does not answer", engine="fake", operation=operation)
        faults = self._faults[operation]
        error = faults[0].next_error() if faults else None
        if faults and faults[0].spent:
            faults.pop(0)
        return error

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls so far, the failed ones too, in their order."""
        with self._lock:
            return tuple(self._calls)


def _checked(operation: str) -> str:
    if operation not in OPERATIONS:
        raise ValueError(f"an engine has no operation {operation!r}; it has {', '.join(OPERATIONS)}")
    return operation
