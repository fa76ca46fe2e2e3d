"""`botdock recover`: the executions of runners that died, seen to their end."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import attrs
import click

from botdock.errors import EXIT_INFRASTRUCTURE, BotdockError
from botdock.model import Outcome
from botdock_cli.commands import verb
from botdock_cli.interrupts import Interrupts, Step
from botdock_cli.options import engine_option, json_option
from botdock_cli.output import format_seconds, print_json, print_text
from botdock_cli.report import InterruptedCommandError, say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from botdock import Execution
    from botdock.executions import ExecutionRecord
    from botdock.model import ExecutionResult

    T = TypeVar("T")
    Shares = Mapping[str, set[str]]
    Tell = Callable[[ExecutionResult, str], None]

HELP = """A bot outlives a runner that is killed, but then nothing collects its log and its result. This finds such
executions in the state folder, of each engine, takes over those that still run, and finishes those that ended
meanwhile: log, result and outcome are then as complete as if nothing had happened. Those of living runners are left
alone. An execution that is over, but whose container or workspace could not be removed, is finished too; containers and
workspaces that belong to no execution are removed when they are seen for the second time, ten minutes after the first
or later. An engine that cannot be reached is named, and hinders no other.

It stays until all of them have ended, for it is their runner now: a bot whose runner ends is stopped. Ctrl-C only
says which bots those are; a second one stops them in their grace period, and keeps log, result and outcome; a third one
kills them. SIGTERM and SIGHUP stop them at once. Killing this command (SIGKILL) loses nothing either: recover again.

\b
Examples:
  botdock recover
  botdock recover --dry-run                    only say what would be done
  botdock recover --engine process             only what that one has run
  botdock recover --json | jq -r '.[].outcome'
  botdock logs -f ID                           what one of them writes meanwhile

\b
Exit codes:
  0      all were finished, however they ended, or there were none
  125    one could not be finished and is named, or botdock could not do its part
  2      wrong usage, or a configuration that is wrong
  128+N  signal N stopped them; their logs and outcomes are kept"""

LOG_PATIENCE = 1.0
"""Seconds that the logs of stopped bots have until the runner is closed, which gives them some more."""
POLL_INTERVAL = 0.1
"""Seconds between two looks at who has ended."""


@verb("recover", HELP)
@engine_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def command(session: Session, *, engine: str | None, dry_run: bool, as_json: bool) -> int:
    """Recover, and return what to exit with."""
    session.load_config({"engine": engine} if engine else None)
    session.show_log()
    return (_foresee if dry_run else _recover)(session, _shares(session, engine), as_json=as_json)


def _shares(session: Session, engine: str | None) -> Shares:
    """Return the ids of the executions to recover by the engine that ran them; an empty name is the configured one.

    That one has a share in any case, if only for containers that belong to no execution, and what has no known engine.
    """
    shares: dict[str, set[str]] = {}
    configured = session.config.engine
    for record in _abandoned(session) if engine is None else ():
        shares.setdefault(record.engine or configured, set()).add(record.execution_id)
    shares.setdefault(configured, set())
    return shares


def _recover(session: Session, shares: Shares, *, as_json: bool) -> int:
    """Take over what dead runners left, see it to its end, and return what to exit with.

    Raises:
        BotdockError: Botdock could not do its part.
        InterruptedCommandError: A signal came before all of them were taken over.
    """
    printed = [0]

    def tell(result: ExecutionResult, text: str) -> None:
        """Say what becomes of one; a reader that goes away changes nothing for the bots."""
        if not as_json:
            printed.append(print_text([f"{result.execution_id}  {result.id}  {text}"]))

    before = _orphans(session)
    with Interrupts() as interrupts:
        try:
            results = _see_to_their_end(session, shares, interrupts, tell)
        except KeyboardInterrupt:
            text = "interrupted; `botdock recover` goes on with what is left"
            raise InterruptedCommandError(text, interrupts.exit_code) from None
    left = sorted(before & _orphans(session))
    if unread := [result.execution_id for result in results if result.execution_id in left]:
        say(f"ended, but not read to the end of its log: {', '.join(unread)}\n`botdock recover` goes on with it.")
        left = [execution_id for execution_id in left if execution_id not in unread]
    if left:
        say(f"not recovered: {', '.join(left)}\nWhat stands before this says why.")
    elif not results:
        say(f"nothing to recover in {session.config.home_dir}")
    if as_json:
        printed.append(print_json([result.to_json() for result in results]))
    return (EXIT_INFRASTRUCTURE if left else _code(results, interrupts)) or max(printed)


def _foresee(session: Session, shares: Shares, *, as_json: bool) -> int:
    """Say what `recover` would do, and return what to exit with; nothing is changed.

    Raises:
        BotdockError: Botdock could not do its part.
    """

    def foreseen(engine: str, own: set[str] | None) -> list[Any]:
        """Return what one engine says: of an execution, the one that ran it says what becomes of it."""
        others = set().union(*shares.values()) - (own or set()) if own is not None else ()
        return [one for one in session.leftovers(engine) if one.name not in others]

    listed = _by_each(shares, foreseen)
    found = list({(one.kind, one.name): one for one in listed}.values())  # a workspace is each engine's to see
    if as_json:
        return print_json([attrs.asdict(one) for one in found])
    if not found:
        say(f"nothing to recover in {session.config.home_dir}")
    return print_text([f"{one.kind} {one.name}: {one.reason}; {one.action}" for one in found])


def _abandoned(session: Session) -> list[ExecutionRecord]:
    """Return the executions without an end that no living runner holds."""
    return [record for record in session.executions().list(running=True) if record.state == "abandoned"]


def _orphans(session: Session) -> set[str]:
    return {record.execution_id for record in _abandoned(session)}


def _by_each(shares: Shares, act: Callable[[str, set[str] | None], Sequence[T]]) -> list[T]:
    """Act on each engine, and return what comes of it; say which engines could not be reached.

    Raises:
        BotdockError: There was only one, and it was named, or has executions to recover.
    """
    found: list[T] = []
    said = set()
    for engine, own in shares.items():
        try:
            found += act(engine, own if len(shares) > 1 else None)
        except BotdockError as error:
            if len(shares) == 1 and (engine or own):
                raise
            if error.message not in said:
                said.add(error.message)
                about = f"nothing was recovered of {engine or 'the configured engine'}"
                say(f"{about if engine or own else 'containers of no execution were not looked for'}: {error.message}")
    return found


def _see_to_their_end(session: Session, shares: Shares, interrupts: Interrupts, tell: Tell) -> list[ExecutionResult]:
    stopping = threading.Event()
    with ExitStack() as opened:
        executions = _by_each(
            shares, lambda engine, own: opened.enter_context(session.open_runner(engine)).recover(only=own)
        )
        interrupts.lead(*_steps(executions, stopping))
        waiting = list(executions)
        for execution in executions:
            if execution.wait(0) is None:
                tell(execution.result, "adopted; it still runs")
        while waiting and not stopping.wait(POLL_INTERVAL):
            waiting = [execution for execution in waiting if not _has_ended(execution, tell)]
    for execution in waiting:  # stopped, or left to the next one, when the runner was closed
        _has_ended(execution, tell)
    return [execution.result for execution in executions]


def _has_ended(execution: Execution, tell: Tell) -> bool:
    result = execution.wait(0)
    if result is None:
        return False
    outcome = result.outcome.value if result.outcome else "not finished"
    tell(result, f"{outcome} after {format_seconds(result.duration)}{f': {result.error}' if result.error else ''}")
    return True


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
        "Ctrl-C again stops what runs; log, result and outcome are kept."
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
