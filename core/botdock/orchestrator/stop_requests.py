"""Obeys what other processes ask of this runner's executions: to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from botdock._log import logger
from botdock.executions._files import EXECUTIONS
from botdock.executions._stops import Doorbell, read_stop
from botdock.model import Outcome
from botdock.orchestrator.execution import Execution


class StopRequests:
    """A thread that looks for requests when it is woken, and each second; it starts with the first execution.

    Args:
        home: The state folder.
        running: Returns this runner's executions.
    """

    def __init__(self, home: Path, running: Callable[[], Iterable[Execution]]) -> None:
        self._home = home
        self._running = running
        self._obeyed: set[tuple[str, float | None]] = set()
        self._lock = threading.Lock()
        self._doorbell: Doorbell | None = None
        self._thread: threading.Thread | None = None

    def begin(self, runner: str) -> None:
        """Start for the runner of that id, unless it has been started."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._doorbell = Doorbell(self._home, runner)
            self._thread = threading.Thread(
                target=self._work, args=(self._doorbell,), name="botdock-stops", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End; what is asked for from now on is the successor's to obey."""
        with self._lock:
            if self._doorbell is not None:
                self._doorbell.close()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _work(self, doorbell: Doorbell) -> None:
        while doorbell.wait():
            for execution in self._running():
                self._obey(execution)

    def _obey(self, execution: Execution) -> None:
        request = read_stop(self._home / EXECUTIONS / execution.execution_id)
        if request is None or (execution.execution_id, request.grace) in self._obeyed:
            return
        self._obeyed.add((execution.execution_id, request.grace))
        logger.bind(execution_id=execution.execution_id).info("another process asked for a stop")
        execution.end_soon(Outcome.STOPPED, grace=request.grace)
