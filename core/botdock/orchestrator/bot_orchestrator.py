"""Joins the services: the only place that knows them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from botdock._log import about, carried, hide, logger, reveal
from botdock.errors import BotdockError, ExecutableError, UserError
from botdock.executions import Executions
from botdock.executions._lease import Lease
from botdock.model import Executable, ExecutionResult, Progress, new_execution_id
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.phases import PhaseClock
from botdock.orchestrator.preparation import Preparation, Services, Setting
from botdock.orchestrator.recovery import Recovery
from botdock.orchestrator.run import ProgressCallback, Run
from botdock.orchestrator.stop_requests import StopRequests
from botdock.orchestrator.takeover import Takeover
from botdock.orchestrator.upkeep import Leftover, Upkeep
from botdock.services.interfaces import Containers
from botdock.services.log_store.masking import Mask

Notify = Callable[..., None]
LOG_PATIENCE = 5.0
"""Seconds that the rest of a log has when the runner is closed; what is not read then is left to its successor."""


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
        self._lease = Lease(home)
        self._upkeep = Upkeep(self._conclusion.settle, self._look)
        self._stop_requests = StopRequests(home, lambda: list(self._running.values()))
        self._changed = threading.Condition()
        self._closing = False
        self._beginning = 0
        self._running: dict[str, Execution] = {}
        if setting.credentials:
            hide(self, Mask(setting.credentials))

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
            BotdockError: It could not be started; what was made is removed, at once or when it can be. `phase`: where.
        """
        with self._admission():
            run = self._new_run(executable, progress or _no_progress)
            with about(run.execution_id):
                self._preparation.validate(run)
                self._notify("botdock_before_execution", execution_id=run.execution_id, executable=executable)
                execution = self._execution(run)
                try:
                    run.journal.open(run.request(), self._lease.hold())
                    run.journal.event("opened", engine=run.engine, id=executable.id)
                    self._preparation.prepare(run, execution, proceed=self._check_open)
                    self._keep(execution)
                except BaseException as error:
                    self._abort(run, error)
                    reveal(run.execution_id)
                    raise
            execution.begin()
            self._upkeep.begin()
            self._stop_requests.begin(self._lease.hold())
            return execution

    def recover(self) -> list[Execution]:
        """Take over the executions of runners that died: adopt what runs, finish what ended; see `recovery`.

        Returns:
            Those that this call took over, the oldest first: as any others, they can be waited for, read and stopped.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.
        """
        with self._admission():
            recovered = self._recovery().recover()
            if recovered:
                self._stop_requests.begin(self._lease.hold())
            return recovered

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over or remove, and what is owed by runners that live; changes nothing.

        Raises:
            BotdockError: The engine does not answer.
        """
        return self._recovery().leftovers()

    def _recovery(self) -> Recovery:
        grace = self._setting.config.runtime.grace
        takeover = Takeover(self._preparation, self._conclusion, make=self._adopted, grace=grace)
        return Recovery(self._services, self._setting, home=self._home, lease=self._lease, takeover=takeover)

    def _look(self, strays: bool) -> None:  # noqa: FBT001 - a callback's form
        with self._admission():
            for execution in self._recovery().look(strays=strays):
                execution.wait(self._setting.config.containers.call_timeout)
        self._prune()

    def _prune(self) -> None:
        """Remove the ended executions that the configuration does not keep."""
        if bounds := self._setting.config.retention.bounds():
            try:
                Executions(self._home).prune(**bounds)
            except BotdockError as error:
                logger.bind(error=error.message).warning("old executions could not be removed")

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
        """Stop the execution of that execution id or container id, whichever process runs it, and wait for its end.

        Raises:
            BotdockError: It has not ended; or there is none, and no such container.
        """
        config = self._setting.config
        if (execution := self.find(name)) is not None:
            execution.stop(grace)
            return
        seconds = config.runtime.grace if grace is None else grace
        try:
            Executions(self._home).stop(name, grace=seconds, timeout=seconds + config.containers.call_timeout)
        except UserError:
            self._services.containers.stop_container(name, grace=seconds)

    def find(self, name: str) -> Execution | None:
        """Return the running execution of that execution id or container id, or None."""
        with self._changed:
            running = list(self._running.values())
        return next((one for one in running if name in {one.execution_id, one.container_id}), None)

    def close(self) -> None:
        """Stop what still runs, all at once, and let go of the services; what is just being started is given up.

        The lease goes with the last execution: one that could not be stopped is its successor's to recover.
        """
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._beginning, self._setting.config.containers.call_timeout)
            running = list(self._running.values())
        stops = [threading.Thread(target=carried(self._stop_quietly), args=(one,), daemon=True) for one in running]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        self._stop_requests.close()
        self._upkeep.close(self._setting.config.containers.call_timeout)
        services = self._services
        for service in (services.logs, services.storage, services.containers, services.metrics):
            service.close()  # metrics last: the others still report to it
        reveal(self)
        self._give_up_lease()
        self._prune()

    def _give_up_lease(self) -> None:
        with self._changed:
            over = self._closing and not (self._running or self._beginning)
        if over:
            self._lease.give_up()

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """Begin something, which `close` waits for.

        Raises:
            BotdockError: It is closed.
        """
        with self._changed:
            self._check_open()
            self._beginning += 1
        try:
            yield
        finally:
            with self._changed:
                self._beginning -= 1
                self._changed.notify_all()

    def _check_open(self) -> None:
        if self._closing:
            raise BotdockError("this runner is closed", hint="Make a new one.")

    def _keep(self, execution: Execution) -> None:
        with self._changed:
            self._check_open()
            self._running[execution.execution_id] = execution

    def _adopted(self, run: Run) -> Execution:
        execution = self._execution(run)
        with self._changed:
            self._running[run.execution_id] = execution
        return execution

    def _stop_quietly(self, execution: Execution) -> None:
        try:
            execution.stop()
        except BotdockError as error:
            logger.bind(execution_id=execution.execution_id, error=error.message).warning("not stopped on close")
        else:
            if execution.wait(LOG_PATIENCE) is None:
                self._conclusion.leave(execution.execution_id)
                execution.wait(self._setting.config.containers.call_timeout)

    def _new_run(self, executable: Executable, progress: ProgressCallback) -> Run:
        execution_id = new_execution_id()
        journal = Journal(self._home, execution_id)
        return Run(
            execution_id=execution_id,
            executable=executable,
            engine=self._setting.engine,
            storage=self._setting.config.storage,
            journal=journal,
            clock=PhaseClock(lambda phase: journal.event("phase", phase=phase.value)),
            progress=progress,
            credentials=self._setting.credentials,
        )

    def _execution(self, run: Run) -> Execution:
        config = self._setting.config
        hide(run.execution_id, run.mask)
        return Execution(
            run,
            containers=self._services.containers,
            logs=self._services.logs,
            conclusion=self._conclusion,
            grace=config.runtime.grace,
            reconnect_timeout=config.containers.reconnect_timeout,
            end_timeout=config.containers.call_timeout,
            on_done=lambda result: self._done(run, result),
        )

    def _abort(self, run: Run, error: BaseException) -> None:
        """Remove what was made; a record stays where the machine, not the caller, is to blame, or something is left."""
        run.mask.error(error)
        result = self._conclusion.withdrawn(run, error)
        self._upkeep.owe(run)
        if isinstance(error, BotdockError):
            error.execution_id = run.execution_id
            if result is not None:
                self._services.metrics.record_execution(result)
            self._notify(
                "botdock_on_execution_error", execution_id=run.execution_id, executable=run.executable, error=error
            )

    def _done(self, run: Run, result: ExecutionResult | None) -> None:
        with self._changed:
            self._running.pop(run.execution_id, None)
        try:
            if result is not None:
                self._services.metrics.record_execution(result)
                self._notify("botdock_after_execution", executable=run.executable, result=result)
        finally:
            self._upkeep.owe(run)  # nothing, where it was left
            reveal(run.execution_id)
            self._give_up_lease()
