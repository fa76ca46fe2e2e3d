"""`botdock recover`: the executions of runners that died, seen to their end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from botdock.errors import EXIT_INFRASTRUCTURE, BotdockError
from botdock.executions import Executions, ExecutionState
from botdock.model import ExecutionResult, Outcome
from botdock_cli import session as facade
from botdock_cli.interrupts import Interrupts, Step
from botdock_cli.outcomes import format_seconds
from botdock_cli.output import print_json, print_text
from botdock_cli.report import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from botdock import Execution
    from botdock.config import Config
    from botdock_cli.session import Session

LOG_PATIENCE = 1.0
"""Seconds that the logs of stopped bots have until the runner is closed, which gives them some more."""
POLL_INTERVAL = 0.1
"""Seconds between two looks at who has ended."""
Show = Callable[[ExecutionResult], None]


def recover(session: Session, *, engine: str | None, as_json: bool) -> int:
    """Take over what dead runners left, see it to its end, and return what to exit with.

    Raises:
        BotdockError: Botdock could not do its part.
    """
    config = session.load_config({"engine": engine} if engine else None)
    session.show_log()
    report = _Report(shown=not as_json)
    before = _orphans(config.checked_home())
    with Interrupts() as interrupts:
        try:
            results = _see_to_their_end(config, interrupts, report)
        except KeyboardInterrupt:
            say("interrupted; `botdock recover` goes on with what is left")
            return interrupts.exit_code
    left = sorted(before & _orphans(config.checked_home()))
    if unread := [result.execution_id for result in results if result.execution_id in left]:
        say(f"ended, but not read to the end of its log: {', '.join(unread)}\n`botdock recover` goes on with it.")
        left = [execution_id for execution_id in left if execution_id not in unread]
    if left:
        say(f"not recovered: {', '.join(left)}\nThe warnings say why; what another engine ran takes --engine NAME.")
    elif not results:
        say(f"nothing to recover in {config.checked_home()}")
    printed = print_json([result.to_json() for result in results]) if as_json else report.code
    return (EXIT_INFRASTRUCTURE if left else _code(results, interrupts)) or printed


def foresee(session: Session, *, engine: str | None, as_json: bool) -> int:
    """Say what `recover` would do, and return what to exit with; nothing is changed.

    Raises:
        BotdockError: Botdock could not do its part.
    """
    config = session.load_config({"engine": engine} if engine else None)
    session.show_log()
    with facade.open_runner(config) as runner:
        found = runner.leftovers()
    if as_json:
        return print_json([attrs.asdict(one) for one in found])
    if not found:
        say(f"nothing to recover in {config.home_dir}")
    return print_text([f"{one.kind} {one.name}: {one.reason}; {one.action}" for one in found])


def _orphans(home: Path) -> set[str]:
    """Return the executions without an end that no living runner holds."""
    under_way = Executions(home).list(running=True)
    return {record.execution_id for record in under_way if record.state is ExecutionState.ABANDONED}


def _see_to_their_end(config: Config, interrupts: Interrupts, report: _Report) -> list[ExecutionResult]:
    stopping = threading.Event()
    with facade.open_runner(config) as runner:
        executions = runner.recover()
        interrupts.lead(*_steps(executions, stopping))
        waiting = list(executions)
        for execution in executions:
            if execution.wait(0) is None:
                report.adopted(execution.result)
        while waiting and not stopping.wait(POLL_INTERVAL):
            waiting = [execution for execution in waiting if not _has_ended(execution, report.ended)]
    for execution in waiting:  # stopped, or left to the next one, when the runner was closed
        _has_ended(execution, report.ended)
    return [execution.result for execution in executions]


def _has_ended(execution: Execution, tell: Show) -> bool:
    result = execution.wait(0)
    if result is not None:
        tell(result)
    return result is not None


def _steps(executions: Sequence[Execution], stopping: threading.Event) -> tuple[Step, ...]:
    """Return what signals do: say what would end, stop it, kill it."""
    return (
        Step(asks=True, act=partial(_warn, executions)),
        Step("stopping the bots; once more kills them", partial(_stop, executions, stopping)),
        Step(act=lambda: _all([one.kill for one in executions])),
    )


def _warn(executions: Sequence[Execution]) -> None:
    running = [one.execution_id for one in executions if one.wait(0) is None]
    say(
        f"this is the runner of {len(running)} that still run{'s' if len(running) == 1 else ''}: {', '.join(running)}\n"
        "Once more stops what runs; log, result and outcome are kept."
    )


def _stop(executions: Sequence[Execution], stopping: threading.Event) -> None:
    """Stop them, and let the runner be closed then: the rest of a long log can be read by the next one."""
    if _all([one.stop for one in executions]) and not stopping.wait(LOG_PATIENCE):
        stopping.set()


def _all(ends: Sequence[Callable[[], object]]) -> bool:
    """Do all at once, so that the grace periods do not add up; return whether all of them worked."""
    worked: list[bool] = []
    threads = [threading.Thread(target=lambda end=end: worked.append(_quietly(end)), daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(worked)


def _quietly(end: Callable[[], object]) -> bool:
    try:
        end()
    except BotdockError as error:
        say(f"a bot could not be stopped: {error.message}")
        return False
    return True


def _code(results: Sequence[ExecutionResult], interrupts: Interrupts) -> int:
    outcomes = {result.outcome for result in results}
    if interrupts.signal_number and outcomes & {Outcome.STOPPED, None}:
        return interrupts.exit_code
    return EXIT_INFRASTRUCTURE if None in outcomes else 0


class _Report:
    """Says on stdout what becomes of each; a reader that goes away changes nothing for the bots.

    Args:
        shown: Whether it says anything.

    Attributes:
        code: What to exit with, as far as stdout is concerned.
    """

    def __init__(self, *, shown: bool) -> None:
        self.code = 0
        self._shown = shown

    def adopted(self, result: ExecutionResult) -> None:
        """Say that it still runs, and who is its runner now."""
        self._print(result, "adopted; it still runs")

    def ended(self, result: ExecutionResult) -> None:
        """Say how it ended."""
        outcome = result.outcome.value if result.outcome else "not finished"
        reason = f": {result.error}" if result.error else ""
        self._print(result, f"{outcome} after {format_seconds(result.duration)}{reason}")

    def _print(self, result: ExecutionResult, text: str) -> None:
        if self._shown and not self.code:
            self.code = print_text([f"{result.execution_id}  {result.id}  {text}"])
