"""The executions of one runner, and what other processes ask of them: to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from botdock._log import logger
from botdock.errors import BotdockError
from botdock.executions._files import EXECUTIONS
from botdock.executions._stops import Doorbell, read_stop
from botdock.model import Outcome, Progress
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.run import ProgressCallback, Run


class StopAskedError(BotdockError):
    """Another process asks an execution to stop whose bot has not been started."""


class GivenUpError(BaseException):
    """The caller wants an execution no longer whose bot has not been started; as Ctrl-C, it leaves no record."""


class Running:
    """The executions that run, and how many are just being started, until it is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._beginning = 0
        self._executions: dict[str, Execution] = {}

    @property
    def is_over(self) -> bool:
        """Whether it is closed, and nothing runs or begins."""
        with self._changed:
            return self._closed and not (self._executions or self._beginning)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Begin something, which `close` waits for.

        Raises:
            BotdockError: It is closed.
        """
        with self._changed:
            self.check_open()
            self._beginning += 1
        try:
            yield
        finally:
            with self._changed:
                self._beginning -= 1
                self._changed.notify_all()

    def check_open(self) -> None:
        """Refuse to go on when it is closed.

        Raises:
            BotdockError: It is.
        """
        if self._closed:
            raise BotdockError("this runner is closed", hint="Make a new one.")

    def between_steps(
        self, run: Run, progress: ProgressCallback | None, proceed: Callable[[], None]
    ) -> Callable[[], None]:
        """Return what to call between the steps of a preparation; the progress of long ones calls it, too.

        It raises when this is closed, when `proceed` does, and a `StopAskedError`.
        """

        def check() -> None:
            self.check_open()
            proceed()
            if read_stop(run.journal.directory):
                raise StopAskedError("it was stopped before its bot was started")

        def report(made: Progress) -> None:
            check()
            if progress is not None:
                progress(made)

        run.progress = report
        return check

    def keep(self, execution: Execution) -> None:
        """Add an execution, which has been admitted."""
        with self._changed:
            self._executions[execution.execution_id] = execution

    def drop(self, execution_id: str) -> None:
        """Take an execution out that has ended."""
        with self._changed:
            self._executions.pop(execution_id, None)

    def all(self) -> list[Execution]:
        """Return the executions that run now."""
        with self._changed:
            return list(self._executions.values())

    def close(self, timeout: float) -> None:
        """Admit no more, and wait for what begins, at most `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._beginning, timeout)


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
