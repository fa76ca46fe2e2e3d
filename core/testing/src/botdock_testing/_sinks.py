"""Log sinks that behave, hang or raise, for tests of what hands lines to them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from botdock.model import LogLine, LogSink, LogSource

PATIENCE = 60.0
"""Seconds after which a sink that is not let go gives up, so that a failing test ends."""


class Recording(LogSink):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.closed = 0

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.lines += [(source.execution_id, line.text) for line in lines]

    def close(self) -> None:
        self.closed += 1


class Stuck(Recording):
    """Waits in `write`, or in `close`, until it is let go."""

    def __init__(self, *, where: str = "write") -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.where = where

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.wait("write")
        super().write(source, lines)

    def close(self) -> None:
        self.wait("close")
        super().close()

    def wait(self, where: str) -> None:
        if where == self.where:
            self.entered.set()
            self.let_go.wait(PATIENCE)


class Raising(Recording):
    """Raises when it closes, and for what begins with the line `bad`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        if lines[0].text == "bad":
            raise self.error
        super().write(source, lines)

    def close(self) -> None:
        super().close()
        raise self.error
