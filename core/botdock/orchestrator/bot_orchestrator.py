"""Joins the services: the only place that knows them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botdock._log import carried, hide, logger, reveal
from botdock.errors import BotdockError, ExecutableError, UserError
from botdock.executions import Executions
from botdock.executions._files import POOL, owed_folders
from botdock.executions._lease import Lease
from botdock.executions._stops import Doorbell
from botdock.model import ContainerHandle, Executable, ExecutionResult
from botdock.model.container import LABEL_OWNER
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.preparation import Preparation, Setting
from botdock.orchestrator.reading import Work
from botdock.orchestrator.recovery import Recovery
from botdock.orchestrator.retention import prune
from botdock.orchestrator.run import ProgressCallback, Run
from botdock.orchestrator.running import Retries, Running, Watch
from botdock.orchestrator.starting import GivenUpError, Starting
from botdock.orchestrator.strays import Leftover, leftovers
from botdock.services.interfaces import Containers, Services
from botdock.services.masking import Mask

if TYPE_CHECKING:
    from botdock.pool import PoolReport

LOG_PATIENCE = 5.0
"""Seconds that the rest of a log has when the runner is closed; what is not read then is left to its successor."""


class BotOrchestrator:
    """Runs executables, each through all of its phases; safe to use from several threads.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        home: The state folder.
        notify: Calls the event hooks: their name, and arguments by keyword.

    Attributes:
        begin: Starts an execution, and returns it while it runs; see `Starting.begin`.
        take: Starts one that was queued; see `Starting.take`.
    """

    def __init__(self, services: Services, setting: Setting, *, home: Path, notify: Callable[..., None]) -> None:
        self._services = services
        self._setting = setting
        self._home = home
        self._notify = notify
        self._preparation = Preparation(services, setting)
        self._conclusion = Conclusion(services, setting)
        self._lease = Lease(home)
        self._running = Running()
        self._work = Work()
        self._doorbell = Doorbell(home, self._running.obey)
        self._watch = Watch(services.containers, {LABEL_OWNER: setting.owner}, self._running.look)
        self._recovery = Recovery(
            services,
            setting,
            home=home,
            lease=self._lease,
            preparation=self._preparation,
            conclusion=self._conclusion,
            adopt=lambda run: self._running.keep(self._execution(run)),
        )
        starting = Starting(
            services,
            setting,
            home=home,
            lease=self._lease,
            running=self._running,
            preparation=self._preparation,
            conclusion=self._conclusion,
            make=self._execution,
            watch=self._begin_to_watch,
            withdraw=self._abort,
            notify=notify,
        )
        self.begin, self.take = starting.begin, starting.take
        self._retries = Retries(self._conclusion, self._look_at_others)
        if setting.credentials:
            hide(self, Mask(setting.credentials))

    @property
    def containers(self) -> Containers:
        """The container service, for what needs no execution."""
        return self._services.containers

    def begin_soon(self, executable: Executable, *, given_up: threading.Event) -> Future[Execution]:
        """`begin` in another thread; with `given_up` set, the start is given up, and raises `GivenUpError`."""

        def proceed() -> None:
            if given_up.is_set():
                raise GivenUpError

        return self._work.starts.call(carried(lambda: self.begin(executable, proceed=proceed)))

    def recover(self, only: Collection[str] | None = None) -> list[Execution]:
        """Take over the executions of runners that died: adopt what runs, finish what ended; see `recovery`.

        Args:
            only: Which, by their ids; None for all of this engine.

        Returns:
            Those that this call took over, the oldest first: as any others, they can be waited for, read and stopped.

        Raises:
            BotdockError: The engine does not answer, or the state folder cannot be written; nothing is changed.
        """
        with self._running.admission():
            if recovered := self._recovery.recover(only):
                self._begin_to_watch()
            return recovered

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over or remove, and what living runners owe; changes nothing.

        Raises:
            BotdockError: The engine does not answer.
        """
        return leftovers(self._home, self._setting.engine, self._recovery.containers())

    def warm(self, sizes: Mapping[str, int], *, timeout: float) -> PoolReport:
        """Keep containers waiting for runs, until this is closed; `timeout` is in seconds, see `Runner.warm`."""
        from botdock.orchestrator.members import Members  # few runners keep any

        ours, preparation = (self._services, self._setting), self._preparation
        with self._running.admission():
            members = preparation.pool or Members(*ours, preparation, home=self._home, runner=self._lease.hold())
            preparation.pool = members
            members.keep(sizes)
            self._begin_to_watch()
        return members.wait(timeout)

    def execute_bot(self, executable: Executable, progress: ProgressCallback | None = None) -> ExecutionResult:
        """Run a bot: return its result, or, when it is long-running, at once, with the status `running`."""
        execution = self.begin(executable, progress)
        return execution.result if executable.is_long_running else self.finish(execution)

    def execute_backtest(self, executable: Executable, progress: ProgressCallback | None = None) -> ExecutionResult:
        """Run a backtest to its end, and return its result; raises an `ExecutableError` where it is none."""
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

        Args:
            name: Of either kind.
            grace: Seconds between asking it and killing it; None for the configured ones.

        Raises:
            BotdockError: It has not ended; or there is none, and no such container.
        """
        if (execution := self.find(name)) is not None:
            return execution.stop(grace)
        seconds = self._setting.config.runtime.grace if grace is None else grace
        timeout = seconds + self._setting.config.containers.call_timeout
        try:
            Executions(self._home).stop(name, grace=seconds, timeout=timeout)
        except UserError:
            self._services.containers.stop_container(ContainerHandle(id=name), grace=seconds)

    def find(self, name: str) -> Execution | None:
        """Return the running execution of that execution id or container id, or None."""
        return next((one for one in self._running.all() if name in {one.execution_id, one.container_id}), None)

    def close(self, *, stop: bool = True) -> None:
        """Stop what still runs, all at once, and let go of the services; what is just being started is given up.

        The lease goes with the last execution: one that could not be stopped is its successor's to recover. Without
        `stop`, bots go on, and the next runner adopts them. May be called twice.
        """
        timeout = self._setting.config.containers.call_timeout
        if not self._running.close(timeout):
            return
        let_go = carried(partial(self._let_go, stop=stop))
        ends = [threading.Thread(target=let_go, args=(one,), daemon=True) for one in self._running.all()]
        for thread in ends:
            thread.start()
        for thread in ends:
            thread.join()
        if self._preparation.pool is not None:
            self._preparation.pool.close(timeout)
        self._doorbell.close()
        self._watch.close(timeout)
        self._work.forget()
        self._retries.close(timeout)
        ours = self._services
        prune(self._home, self._setting.config, [ours.containers])
        for service in (ours.logs, ours.storage, ours.containers, ours.metrics):  # all report to metrics
            service.close()
        reveal(self)
        if self._running.is_over:
            self._lease.give_up()

    def _begin_to_watch(self) -> None:
        self._doorbell.begin(self._lease.hold())
        self._watch.begin()
        self._retries.begin()

    def _execution(self, run: Run) -> Execution:
        if (mask := run.mask).forms:
            hide(run.execution_id, mask)
        return Execution(
            run,
            services=self._services,
            config=self._setting.config,
            conclusion=self._conclusion,
            work=self._work,
            on_done=partial(self._done, run),
            hears=lambda: self._watch.hears,
        )

    def _let_go(self, execution: Execution, *, stop: bool) -> None:
        """End an execution, or leave it; the rest of a log that takes too long is left to the successor, too."""
        try:
            execution.stop() if stop else execution.leave()
        except BotdockError as error:
            logger.bind(execution_id=execution.execution_id, error=error.message).warning("not stopped on close")
        else:
            if execution.wait(LOG_PATIENCE) is None and not execution.done:
                execution.leave_log()
                execution.wait(self._setting.config.containers.call_timeout)

    def _abort(self, run: Run, error: BaseException) -> None:
        """Remove what was made; a record stays where the machine, not the caller, is to blame, or something is left."""
        run.mask.error(error)
        result = self._conclusion.withdrawn(run, error)
        if run.owed:
            self._retries.add(run)
        if isinstance(error, BotdockError):
            error.execution_id = run.execution_id
            if result is not None:
                self._services.metrics.record_execution(result)
            self._notify(
                "botdock_on_execution_error", execution_id=run.execution_id, executable=run.executable, error=error
            )

    def _done(self, run: Run, result: ExecutionResult | None) -> None:
        self._running.drop(run.execution_id)
        try:
            if result is not None:
                self._services.metrics.record_execution(result)
                self._notify("botdock_after_execution", executable=run.executable, result=result)
        finally:
            if run.owed:
                self._retries.add(run)
            reveal(run.execution_id)
            if self._running.is_over:
                self._lease.give_up()

    def _look_at_others(self, strays: bool) -> None:  # noqa: FBT001 - a callback's form
        if (owed := owed_folders(self._home)) or strays or (self._home / POOL).exists():
            with self._running.admission():
                for execution in self._recovery.look(owed, strays=strays):
                    execution.wait(self._setting.config.containers.call_timeout)
        if strays:  # it has lived for a while; what is old goes at its end in any case
            prune(self._home, self._setting.config, [self._services.containers])
