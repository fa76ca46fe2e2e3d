"""How an execution ended: one pure function from evidence to outcome."""

from __future__ import annotations

import signal
from typing import Any

import attrs

from botdock.entrypoints import ResultReading
from botdock.model import ContainerStatus, Outcome

SIGNAL_BASE = 128
"""Shells and Docker report a program ended by signal n as exit code 128 + n (POSIX, Shell Command Language 2.8.2)."""
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
    ended_by: Outcome | None,
    failure: str = "",
) -> Verdict:
    """Decide the outcome.

    Args:
        status: The final status of the container; None when nobody could learn it.
        reading: What the bot returned, and what its wrapper says about its end.
        entrypoint: `backtest`s fail without a usable value, bots do not.
        ended_by: Why botdock ended it (`stopped`, `timed_out`, `output_limit`), or None when it did not.
        failure: What broke on our side, or an empty text.

    Returns:
        The first that applies of: our own failure, our own ending of it or the engine's for its output, memory, a
        signal, its exit code, what it returned, and that what it returned is lost.
    """
    evidence = _evidence(status, reading, entrypoint)
    if status is None or failure:
        said = failure or "the engine does not know how it ended"
        return Verdict(
            outcome=ended_by if ended_by is Outcome.LOST else Outcome.INFRASTRUCTURE_ERROR,
            error=said,
            evidence=evidence,
        )
    if ended_by is None and status.output_limited:
        ended_by = Outcome.OUTPUT_LIMIT
    if ended_by is not None:
        return Verdict(outcome=ended_by, error=_ENDED_BY[ended_by], evidence=evidence)
    if _died_of_memory(status, reading):
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
    Outcome.TIMED_OUT: "ran longer than its wall time",
    Outcome.OUTPUT_LIMIT: "wrote more than its output limit",
}


def _evidence(status: ContainerStatus | None, reading: ResultReading, entrypoint: str) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    if status is not None:
        evidence |= {"exit_code": status.exit_code, "oom_killed": status.oom_killed}
        if status.error:
            evidence["engine_error"] = status.error
    if reading.nonfinite:
        evidence["nonfinite_values"] = reading.nonfinite
    if reading.value_masked:
        evidence["value_masked"] = True
    if reading.lost:
        evidence["result_lost"] = reading.lost
    if reading.problem:
        evidence["value_dropped" if entrypoint == "bot" else "value_problem"] = reading.problem
    return evidence


def _died_of_memory(status: ContainerStatus, reading: ResultReading) -> bool:
    """Whether the *main* program was the one that the kernel killed: another one's death is only evidence."""
    killed = status.signal == signal.SIGKILL or status.exit_code == _KILLED
    return status.oom_killed and killed and reading.exit_code != status.exit_code


def _fatal_signal(status: ContainerStatus, reading: ResultReading) -> int | None:
    """Return the signal that ended the main program; there was none if the wrapper announced this very exit code."""
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
    if error := _own_failure(exit_code, reading, entrypoint):
        return Outcome.FAILED, error
    if reading.lost:
        return Outcome.INFRASTRUCTURE_ERROR, f"its result is lost: {reading.lost}"
    return Outcome.SUCCEEDED, ""


def _own_failure(exit_code: int, reading: ResultReading, entrypoint: str) -> str:
    """Say why the bot itself failed, or return an empty text."""
    if reading.error:
        return reading.error
    if reading.declared_error:
        return "returned a value whose status is 'error'"
    if reading.problem and entrypoint == "backtest":
        return f"its value is of no use: {reading.problem}"
    if reading.unwritten and entrypoint == "backtest" and not exit_code:
        return "ended without its result: not by the end of main, sys.exit or process.exit"
    return f"exit code {exit_code}" if exit_code else ""
