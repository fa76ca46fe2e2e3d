"""How an execution ended: one pure function from evidence to outcome."""

from __future__ import annotations

import signal
from typing import Any

import attrs

from botdock.entrypoints import ResultReading
from botdock.model import ContainerStatus, Outcome
from botdock.orchestrator.attempts import SIGNAL_BASE, Ending
from botdock.orchestrator.deadlines import Timeout

_MAX_REST = 64 * 1024
"""Bytes of a value with a part that has no form in JSON of which the evidence keeps the rest."""
_HIGHEST_SIGNAL = 64
_KILLED = SIGNAL_BASE + signal.SIGKILL


@attrs.frozen(kw_only=True)
class Verdict:
    """How it ended, and why we say so.

    Attributes:
        outcome: How it ended.
        error: Why it did not succeed, for people; empty when it did.
        evidence: What the outcome rests on.
    """

    outcome: Outcome
    error: str
    evidence: dict[str, Any]


def judge(
    *,
    status: ContainerStatus | None,
    reading: ResultReading,
    entrypoint: str,
    ending: Ending,
) -> Verdict:
    """Decide the outcome.

    Args:
        status: The final status of the container; None when it cannot be learnt.
        reading: What the bot returned, and what its wrapper says about its end.
        entrypoint: `backtest`s fail without a usable value, bots do not.
        ending: Why botdock ended it (`stopped`, `timed_out`, `output_limit`), if it did, and what broke on our side.

    Returns:
        The first that applies of: our own failure, our own ending of it or the engine's for its output, memory, a
        signal, its exit code, what it returned, and that what it returned is lost.
    """
    evidence = _evidence(status, reading, entrypoint)
    if status is None or ending.failure:
        said = ending.failure or "the engine does not know how it ended"
        return Verdict(
            outcome=ending.why if ending.why is Outcome.LOST else Outcome.INFRASTRUCTURE_ERROR,
            error=said,
            evidence=evidence,
        )
    if (why := ending.why or (Outcome.OUTPUT_LIMIT if status.output_limited else None)) is not None:
        error = _ENDED_BY.get(why, "")
        if why is Outcome.TIMED_OUT:
            which = ending.timeout or Timeout.WALL  # an earlier botdock did not say
            evidence["timeout"], error = which.value, _TIMED_OUT[which]
        return Verdict(outcome=why, error=error, evidence=evidence)
    if status.oom_killed and _was_killed(status, reading):
        return Verdict(outcome=Outcome.OOM_KILLED, error="killed for exceeding its memory limit", evidence=evidence)
    number = _fatal_signal(status, reading)
    if status.exit_code is None or (number and status.error):  # what the engine ended for its own reason: a full disk
        said = status.error or "the engine does not know its exit code"
        return Verdict(outcome=Outcome.INFRASTRUCTURE_ERROR, error=said, evidence=evidence)
    if number:
        evidence["signal"] = _signal_name(number)
        return Verdict(outcome=Outcome.SIGNALED, error=f"ended by {_signal_name(number)}", evidence=evidence)
    outcome, error = _own_end(status.exit_code, reading, entrypoint)
    if reading.unwritten and outcome is Outcome.SUCCEEDED:
        evidence["result"] = "none written"
    return Verdict(outcome=outcome, error=error, evidence=evidence)


_ENDED_BY = {
    Outcome.STOPPED: "stopped on request",
    Outcome.OUTPUT_LIMIT: "wrote more than its output limit",
}
_TIMED_OUT = {
    Timeout.WALL: "ran longer than its wall time",
    Timeout.START: "wrote nothing from its start until its start timeout",
    Timeout.SILENCE: "wrote nothing for longer than its silence timeout",
}


def _evidence(status: ContainerStatus | None, reading: ResultReading, entrypoint: str) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    if status is not None:
        evidence |= {"exit_code": status.exit_code, "oom_killed": status.oom_killed}
        if status.error:
            evidence["engine_error"] = status.error
    said = {
        "hint": reading.hint,
        "nonfinite_values": reading.nonfinite,
        "value_masked": reading.value_masked,
        "result_lost": reading.lost,
    }
    evidence |= {name: fact for name, fact in said.items() if fact}
    if reading.problem:
        dropped = entrypoint == "bot" and not reading.content
        evidence["value_dropped" if dropped else "value_problem"] = reading.problem
        if entrypoint == "backtest" and 0 < len(reading.content) <= _MAX_REST:
            evidence["value_rest"] = reading.value
    return evidence


def _was_killed(status: ContainerStatus, reading: ResultReading) -> bool:
    """Whether the *main* program was the one that the kernel killed: another one's death is only evidence."""
    killed = status.signal == signal.SIGKILL or status.exit_code == _KILLED
    return killed and reading.exit_code != status.exit_code


def _fatal_signal(status: ContainerStatus, reading: ResultReading) -> int | None:
    """Return the signal that ended the main program; there was none if the wrapper announced this very exit code.

    Unless it said as well that it ends for a signal, as the programs do that clean up first.
    """
    if reading.signal and reading.exit_code == status.exit_code == SIGNAL_BASE + reading.signal:
        return reading.signal
    if status.signal is not None:
        return status.signal or None
    number = (status.exit_code or 0) - SIGNAL_BASE
    return number if reading.exit_code != status.exit_code and 0 < number <= _HIGHEST_SIGNAL else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _own_end(exit_code: int, reading: ResultReading, entrypoint: str) -> tuple[Outcome, str]:
    """Decide about a bot that ended by itself: without what it returned, it is not a success."""
    error = f"exit code {exit_code}" if exit_code else ""
    if reading.error:
        error = reading.error
    elif reading.declared_error:
        error = "returned a value whose status is 'error'"
    elif reading.problem and entrypoint == "backtest":
        error = f"its value is of no use: {reading.problem}"
    elif reading.unwritten and entrypoint == "backtest" and not exit_code:
        error = "ended without its result: not by the end of main, sys.exit or process.exit"
    if error:
        return Outcome.FAILED, error
    if reading.lost:
        return Outcome.INFRASTRUCTURE_ERROR, f"its result is lost: {reading.lost}"
    return Outcome.SUCCEEDED, ""
