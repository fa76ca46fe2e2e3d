"""Telling the end of a container from a connection that was cut: in its log both look the same."""

from __future__ import annotations

import json
import time
from threading import Timer
from typing import TYPE_CHECKING, Any

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.model import ContainerState
from botdock_engine_docker.errors import translated
from botdock_engine_docker.status import read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.model import ContainerStatus
    from botdock_engine_docker.errors import Call
    from botdock_engine_docker.wire import Wire

SETTLE = 10.0
"""Seconds that a daemon under load may take to notice that a container has ended whose log has; idle: 20 to 60 ms."""
APART = 1.0
"""Seconds between the end of the log and that of the container, by the daemon's clock, from which on it was cut."""


class Ending:
    """Waits for the end of a container whose log has ended, without ever blocking.

    A container that ended when its log did ended well. One that goes on, or that went on for a while, was cut off: its
    log has to be read again from where it stands.

    Args:
        ask: Asks `wait` or `json` about the container, on a connection of its own.
        on_status: Told how it ended, so that nobody need ask again.
        call: For messages.
    """

    def __init__(self, ask: Callable[[str], Wire], on_status: Callable[[ContainerStatus], None], call: Call) -> None:
        self._ask = ask
        self._on_status = on_status
        self._call = call
        self._log_ended = 0.0
        self._wire: Wire | None = None
        self._watchdog: Timer | None = None
        self._interrupted = False
        self._inspected: bytes | None = None

    def begin(self) -> Wire:
        """Ask for the end, and return the connection on which it will be told; a timer bounds the wait."""
        self._log_ended = time.time()
        self._wire = self._ask("wait")
        self._watchdog = Timer(SETTLE, self._interrupt)
        self._watchdog.daemon = True
        self._watchdog.start()
        return self._wire

    def step(self, wire: Wire, timeout: float) -> Wire | None:
        """Read from the current connection; return the one to go on with, or None when the container has ended.

        Raises:
            ContainerError: The log was cut off before the container's end.
        """
        try:
            data = wire.receive(timeout)
        except ContainerNotFoundError:
            return None  # somebody has removed it already
        except ContainerError:
            if self._interrupted:
                raise self._cut() from None
            raise
        if self._inspected is not None:
            return self._inspect(wire, data)
        if wire.ended:
            self._inspected = b""
            self._wire = self._ask("json")
        return self._wire

    def cancel(self) -> None:
        """Wait no longer."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _interrupt(self) -> None:
        """Wake whoever reads or selects, who then finds the connection broken."""
        self._interrupted = True
        if self._wire is not None:
            self._wire.interrupt()

    def _inspect(self, wire: Wire, data: bytes) -> Wire | None:
        self._inspected = (self._inspected or b"") + data
        if not wire.ended:
            return wire
        with translated(self._call):
            inspected: Mapping[str, Any] = json.loads(self._inspected)
            status = read_status(inspected)
        if status.state is not ContainerState.EXITED or self._outlived_its_log(status):
            raise self._cut()
        self.cancel()
        self._on_status(status)
        return None

    def _outlived_its_log(self, status: ContainerStatus) -> bool:
        return status.finished_at is not None and status.finished_at.timestamp() - self._log_ended > APART

    def _cut(self) -> ContainerError:
        return self._call.error(ContainerError, "the log ended while the container went on")
