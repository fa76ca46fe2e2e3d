"""Joins the services: the only place that knows them all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botdock._log import logger
from botdock.errors import BotdockError, ExecutableError, UserError
from botdock.model import Executable, ExecutionResult, Outcome, Phase, Progress, Status, new_execution_id
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.phases import PhaseClock
from botdock.orchestrator.preparation import Preparation, Services, Setting
from botdock.orchestrator.run import ProgressCallback, Run
from botdock.services.interfaces import Containers

Notify = Callable[..., None]


def _no_progress(_progress: Progress) -> None:
    pass


class BotOrchestrator:
    """Runs executables, each through all of its phases; safe to use from several threads.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        notify: Calls the event hooks: their name, and arguments by keyword.
    """

    def __init__(self, services: Services, setting: Setting, *, home: Path, notify: Notify) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._notify = notify
        self._preparation = Preparation(services, setting)
        self._conclusion = Conclusion(services, setting, self._preparation)
        self._lock = threading.Lock()
        self._running: dict[str, Execution] = {}

    @property
    def containers(self) -> Containers:
        """The container service, for what needs no execution."""
        return self._services.containers

    def begin(self, executable: Executable, progress: ProgressCallback | None = None) -> Execution:
        """Prepare and start an execution, and return it while it runs.

        Args:
            executable: What to run.
            progress: Told how far long steps are, in the caller's thread.

        Raises:
            BotdockError: It could not be started; nothing is left behind. `error.phase` names the phase.
        """
        run = self._new_run(executable, progress or _no_progress)
        with logger.contextualize(execution_id=run.execution_id):
            self._preparation.validate(run)
            self._notify("botdock_before_execution", execution_id=run.execution_id, executable=executable)
            execution = self._execution(run)
            try:
                run.journal.open(run.request())
                self._preparation.prepare(run, on_limit=execution.on_limit, on_failure=execution.on_failure)
            except BaseException as error:
                self._abort(run, error)
                raise
        with self._lock:
            self._running[run.execution_id] = execution
        execution.begin()
        return execution

    def execute_bot(self, executable: Executable, progress: ProgressCallback | None = None) -> ExecutionResult:
        """Run a bot: return its result, or, when it is long-running, at once, with the status `running`."""
        execution = self.begin(executable, progress)
        return execution.result if executable.is_long_running else self.finish(execution)

    def execute_backtest(self, executable: Executable, progress: ProgressCallback | None = None) -> ExecutionResult:
        """Run a backtest to its end, and return its result.

        Raises:
            ExecutableError: It is not a backtest.
        """
        if executable.entrypoint != "backtest":
            raise ExecutableError([f"entrypoint: {executable.entrypoint!r} is not a backtest"])
        return self.finish(self.begin(executable, progress))

    def finish(self, execution: Execution) -> ExecutionResult:
        """Wait for the end; a caller that is interrupted meanwhile leaves no bot running."""
        try:
            execution.wait()
        except BaseException:
            execution.kill()
            execution.wait(self._setting.config.containers.call_timeout)
            raise
        return execution.result

    def stop_execution(self, name: str, *, grace: float | None = None) -> None:
        """Stop the execution of that execution id or container id, and wait until everything of it is stored."""
        execution = self.find(name)
        if execution is None:
            self._services.containers.stop_container(
                name, grace=self._setting.config.runtime.grace if grace is None else grace
            )
            return
        execution.stop(grace)
        execution.wait(self._setting.config.containers.call_timeout)

    def find(self, name: str) -> Execution | None:
        """Return the running execution of that execution id or container id, or None."""
        with self._lock:
            running = list(self._running.values())
        return next((one for one in running if name in {one.execution_id, one.container_id}), None)

    def close(self) -> None:
        """Stop what still runs, all at once, and let go of the services."""
        with self._lock:
            running = list(self._running.values())
        stops = [threading.Thread(target=self._stop_quietly, args=(one,), daemon=True) for one in running]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        services = self._services
        for service in (services.logs, services.storage, services.containers, services.metrics):
            service.close()  # metrics last: the others still report to it

    def _stop_quietly(self, execution: Execution) -> None:
        try:
            self.stop_execution(execution.execution_id)
        except BotdockError as error:
            logger.bind(execution_id=execution.execution_id, error=error.message).warning("not stopped on close")

    def _new_run(self, executable: Executable, progress: ProgressCallback) -> Run:
        execution_id = new_execution_id()
        journal = Journal(self._home, execution_id)
        return Run(
            execution_id=execution_id,
            executable=executable,
            engine=self._setting.engine,
            journal=journal,
            clock=PhaseClock(lambda phase: journal.event("phase", phase=phase.value)),
            progress=progress,
        )

    def _execution(self, run: Run) -> Execution:
        config = self._setting.config
        return Execution(
            run,
            containers=self._services.containers,
            logs=self._services.logs,
            conclusion=self._conclusion,
            grace=config.runtime.grace,
            reconnect_timeout=config.containers.reconnect_timeout,
            on_done=lambda result: self._done(run.executable, result),
        )

    def _abort(self, run: Run, error: BaseException) -> None:
        """Remove what was made; keep a record only where the machine, not the caller, is to blame."""
        with run.clock.phase(Phase.CLEAN_UP):
            problems = self._preparation.undo(run)
        if not isinstance(error, BotdockError):
            run.journal.discard()
            return
        error.execution_id = run.execution_id
        if isinstance(error, UserError):
            run.journal.discard()
        else:
            self._record_failure(run, error, problems)
        self._notify(
            "botdock_on_execution_error", execution_id=run.execution_id, executable=run.executable, error=error
        )

    def _record_failure(self, run: Run, error: BotdockError, problems: list[str]) -> None:
        evidence: dict[str, Any] = {"phase": error.phase}
        if problems:
            evidence["left_behind"] = problems
        result = run.result(
            status=Status.ERROR,
            outcome=Outcome.INFRASTRUCTURE_ERROR,
            message=error.message,
            error=error.message,
            evidence=evidence,
        )
        try:
            run.journal.finish(result)
        except OSError:  # the disk that failed the execution may well fail its record too
            run.journal.discard()
        self._services.metrics.record_execution(result)

    def _done(self, executable: Executable, result: ExecutionResult) -> None:
        with self._lock:
            self._running.pop(result.execution_id, None)
        self._services.metrics.record_execution(result)
        self._notify("botdock_after_execution", executable=executable, result=result)
