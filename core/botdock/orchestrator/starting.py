"""From an executable, or a request that was queued, to an execution that is under way, or to nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from botdock._log import about, logger, reveal
from botdock.errors import BotdockError, ExecutableError, UserError
from botdock.executions._lease import Lease, claiming
from botdock.executions._queue import is_queued
from botdock.executions._requests import Request, Restart
from botdock.executions._stops import read_stop
from botdock.model import Executable, Outcome, RestartPolicy, new_execution_id
from botdock.model.execution import REFUSED
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.preparation import Preparation, Setting
from botdock.orchestrator.run import Created, ProgressCallback, Run
from botdock.orchestrator.running import ClosedError, Running
from botdock.services.interfaces import Services

Withdraw = Callable[[Run, BaseException], None]
"""Undoes a start that failed, whose caller is told so."""


class StopAskedError(BotdockError):
    """Another process asks an execution to stop whose bot has not been started."""


class GivenUpError(BaseException):
    """The caller no longer wants an execution whose bot has not been started; as Ctrl-C, it leaves no record."""


class Starting:
    """Starts executions, each up to a container that runs.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        lease: Of this runner.
        running: The executions that run.
        preparation: Makes what an execution needs.
        conclusion: Sees to their end those that came to nothing.
        make: Makes the execution of a run.
        watch: Begins to watch over what runs.
        withdraw: Undoes a start that failed.
        notify: Calls the event hooks.
    """

    def __init__(
        self,
        services: Services,
        setting: Setting,
        *,
        home: Path,
        lease: Lease,
        running: Running,
        preparation: Preparation,
        conclusion: Conclusion,
        make: Callable[[Run], Execution],
        watch: Callable[[], None],
        withdraw: Withdraw,
        notify: Callable[..., None],
    ) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._lease = lease
        self._running = running
        self._preparation = preparation
        self._conclusion = conclusion
        self._make = make
        self._watch = watch
        self._withdraw = withdraw
        self._notify = notify

    def begin(
        self,
        executable: Executable,
        progress: ProgressCallback | None = None,
        *,
        proceed: Callable[[], None] | None = None,
    ) -> Execution:
        """Prepare and start an execution, and return it while it runs.

        One that another process asks to stop meanwhile ends as `stopped`, before its bot is started.

        Args:
            executable: What to run.
            progress: Told how far long steps are, in the caller's thread.
            proceed: Called between the steps, and within long ones; what it raises gives the execution up.

        Raises:
            BotdockError: It could not be started; what was made is removed, at once or when it can be. `phase`: where.
            TypeError: It is not an executable.
        """
        if not isinstance(executable, Executable):
            what = type(executable).__name__
            raise TypeError(f"an Executable is run, not a {what}: write Executable(id=..., file_path=...)")
        if executable.restart not in {None, RestartPolicy()}:
            hint = "`botdock.supervisor.submit`, or `botdock start`, hands it to the supervisor, which does."
            raise ExecutableError(
                [f"restart: a runner starts it once, and not again ('{executable.restart}')"], hint=hint
            )
        run = self._run(executable, new_execution_id())

        def check() -> None:
            self._running.check_open()
            if proceed is not None:
                proceed()
            _check_wanted(run)

        with self._running.admission(), about(run.execution_id):
            execution = self._make(run)
            self._preparation.validate(run)
            self._notify("botdock_before_execution", execution_id=run.execution_id, executable=executable)
            try:
                run.journal.open(run.request(), self._lease.hold())
                run.journal.event("opened", engine=run.engine, id=executable.id)
                with execution.starting():
                    created = self._preparation.prepare(run, execution.end_soon, proceed=check, progress=progress)
                self._running.check_open()
            except StopAskedError as asked:
                return self._end(run, execution, asked, Outcome.STOPPED)
            except BaseException as error:
                self._withdraw(run, error)
                reveal(run.execution_id)
                raise
            return self._go_on(execution, created)

    def take(self, request: Request) -> Execution | None:
        """Start an execution that was queued; None where it is not any more, or is again, for the runner was closed.

        What hinders it becomes its outcome, its caller's mistakes too: there is no caller any more who could be told.

        Raises:
            ClosedError: This runner is closed.
            BotdockError: The disk took no more; it may be queued still.
        """
        run = self._run(request.executable, request.execution_id, request.restart)

        def check() -> None:
            if run.container is None:  # else the rest takes a moment
                self._running.check_open()
            _check_wanted(run)

        with self._running.admission(), about(run.execution_id):
            if not self._claim(run):
                return None
            execution = self._make(run)
            try:
                check()
                self._services.code.cleanup_workspace(run.workspace)  # of a runner that died over the same
                self._preparation.validate(run)
                self._notify("botdock_before_execution", execution_id=run.execution_id, executable=run.executable)
                with execution.starting():
                    created = self._preparation.prepare(run, execution.end_soon, proceed=check)
            except StopAskedError as asked:
                return self._end(run, execution, asked, Outcome.STOPPED)
            except ClosedError:
                self._put_back(run)
                return None
            except Exception as error:  # noqa: BLE001 - nothing may be queued for ever, nor end without a word
                return self._fail(run, execution, error)
            return self._go_on(execution, created)

    def _run(self, executable: Executable, execution_id: str, restart: Restart | None = None) -> Run:
        return Run(
            executable=executable,
            engine=self._setting.engine,
            storage=self._setting.config.storage,
            journal=Journal(self._home, execution_id),
            credentials=self._setting.credentials,
            restart=restart or Restart(),
        )

    def _claim(self, run: Run) -> bool:
        """Become the holder of an execution that is queued; return whether we are."""
        try:
            with claiming(run.journal.directory) as ours:
                if not ours or not is_queued(run.journal.directory):
                    return False
                run.journal.reopen(self._lease.hold())
            run.journal.renew(run.request())
        except OSError as error:
            raise BotdockError(f"cannot write {run.journal.directory}: {error.strerror or error}") from error
        run.journal.event("opened", engine=run.engine, id=run.executable.id)
        return True

    def _put_back(self, run: Run) -> None:
        """Let an execution be queued again, of which nothing is left."""
        for problem in self._conclusion.undo(run):
            logger.bind(problem=problem).warning("the next runner removes what a start has left behind")
        run.journal.event("put_back")
        run.journal.let_go()
        reveal(run.execution_id)

    def _fail(self, run: Run, execution: Execution, error: Exception) -> Execution:
        run.mask.error(error)
        if isinstance(error, BotdockError):
            error.execution_id = run.execution_id
            arguments = {"execution_id": run.execution_id, "executable": run.executable, "error": error}
            self._notify("botdock_on_execution_error", **arguments)
        refused = {REFUSED: True} if isinstance(error, UserError) else {}
        phase = getattr(error, "phase", None)
        return self._end(run, execution, error, Outcome.INFRASTRUCTURE_ERROR, phase=phase, **refused)

    def _end(self, run: Run, execution: Execution, error: Exception, outcome: Outcome, **evidence: object) -> Execution:
        """See to its end, in another thread, what came to nothing, and has a record of that."""
        said = error.message if isinstance(error, BotdockError) else f"botdock failed: {error!r}"
        self._running.keep(execution)
        execution.finish_by(partial(self._conclusion.aborted, run, said, outcome=outcome, **evidence))
        return execution

    def _go_on(self, execution: Execution, created: Created) -> Execution:
        self._running.keep(execution)
        self._watch()
        execution.begin(created)
        return execution


def _check_wanted(run: Run) -> None:
    if read_stop(run.journal.directory):
        raise StopAskedError("it was stopped before its bot was started")
