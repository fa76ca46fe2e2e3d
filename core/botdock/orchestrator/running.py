"""The executions of one runner that run, and those that are over and owed something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from botdock._log import about, logger
from botdock.config import RetentionConfig
from botdock.errors import BotdockError
from botdock.executions import Executions
from botdock.executions._files import remove_unused_programs
from botdock.orchestrator.conclusion import Conclusion
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.run import Run
from botdock.orchestrator.threads import Work

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to finish what is owed; each pause is twice as long as the one before it."""
LOOK_EVERY = 600.0
"""Seconds between two looks for what other runners left."""


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

    def obey(self) -> None:
        """End those that other processes ask to stop."""
        for execution in self.all():
            execution.obey()

    def look(self, ended: Collection[str] | None) -> None:
        """Look whether the executions in these containers have ended; None means at all."""
        for execution in self.all():
            if ended is None or execution.container_id in ended:
                execution.look_soon()

    def close(self, timeout: float) -> None:
        """Admit no more, and wait for what begins, at most `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._beginning, timeout)


class Upkeep:
    """Finishes, from time to time, what is owed; see `recovery`.

    Args:
        work: Its pool and its clock.
        conclusion: Tries to finish a run.
        look: Takes over what other runners owe; told whether to remove strays too.
    """

    def __init__(self, work: Work, conclusion: Conclusion, look: Callable[[bool], None]) -> None:
        self._work = work
        self._conclusion = conclusion
        self._look = look
        self._owed: dict[str, Run] = {}
        self._begun = False
        self._closed = False

    def begin(self) -> None:
        """Look for what other runners owe from now on, unless that has begun."""
        if not self._begun:
            self._begun = True
            self._work.upkeep.submit(partial(self._look_at_others, strays=False))

    def owe(self, run: Run) -> None:
        """Try to finish this run from now on, if anything is owed; after the end that is left to a successor."""
        if run.owed and not self._closed:
            self._owed[run.execution_id] = run
            self._work.after(FIRST_PAUSE, self._work.upkeep, partial(self._settle, run, FIRST_PAUSE))

    def close(self, timeout: float) -> None:
        """Try everything once more, and wait for that at most `timeout` seconds."""
        self._closed = True
        wait([self._work.upkeep.call(partial(self._settle, run, 0.0)) for run in list(self._owed.values())], timeout)

    def _settle(self, run: Run, pause: float) -> None:
        """Try to finish a run; where that fails, once more after twice the pause."""
        if run.execution_id not in self._owed:
            return
        settled = False
        with about(run.execution_id):
            try:
                settled = self._conclusion.settle(run)
            except Exception as error:  # noqa: BLE001 - it is tried again
                logger.bind(error=repr(error)).warning("what is owed could not be tried")
        if settled:
            self._owed.pop(run.execution_id, None)
            logger.bind(execution_id=run.execution_id).info("what an execution had left behind is removed")
        elif not self._closed:
            longer = min(2 * pause, LONGEST_PAUSE)
            self._work.after(longer, self._work.upkeep, partial(self._settle, run, longer))

    def _look_at_others(self, *, strays: bool) -> None:
        """Finish what other runners left that is over, and again in a while; from the second look on, remove strays."""
        pause = LOOK_EVERY
        try:
            self._look(strays)
            strays = True
        except Exception as error:  # noqa: BLE001 - it is tried again; what a bot owes must not depend on it
            logger.bind(error=str(error)).debug("what other runners owe could not be looked for")
            pause = LONGEST_PAUSE
        if not self._closed:
            self._work.after(pause, self._work.upkeep, partial(self._look_at_others, strays=strays))


def prune(home: Path, retention: RetentionConfig) -> None:
    """Remove the ended executions that the configuration does not keep, and programs that none uses any more."""
    remove_unused_programs(home)
    if bounds := retention.bounds():
        try:
            Executions(home).prune(**bounds)
        except BotdockError as error:
            logger.bind(error=error.message).warning("old executions could not be removed")
