"""From evidence to outcome."""

from typing import Any

import attrs
import pytest

from botdock.entrypoints import ResultReading
from botdock.model import ContainerState, ContainerStatus, Outcome
from botdock.orchestrator.attempts import Ending
from botdock.orchestrator.verdict import Verdict, judge

FINE = ResultReading(content=b"1", exit_code=0)
SILENT = ResultReading()


def ended(exit_code: int | None = 0, **facts: Any) -> ContainerStatus:
    return ContainerStatus(container_id="c", state=ContainerState.EXITED, exit_code=exit_code, **facts)


def verdict(
    status: ContainerStatus | None = None, reading: ResultReading = FINE, *, entrypoint: str = "bot", **more: Any
) -> Verdict:
    return judge(status=status, reading=reading, entrypoint=entrypoint, ending=Ending(**({"why": None} | more)))


@pytest.mark.parametrize(
    ("status", "reading", "outcome", "said"),
    [
        (ended(0), FINE, Outcome.SUCCEEDED, ""),
        (ended(3), attrs.evolve(FINE, exit_code=3), Outcome.FAILED, "exit code 3"),
        (ended(1), attrs.evolve(FINE, exit_code=1, error="ValueError: x"), Outcome.FAILED, "ValueError: x"),
        (ended(0), attrs.evolve(FINE, declared_error=True), Outcome.FAILED, "status is 'error'"),
        (ended(137), SILENT, Outcome.SIGNALED, "SIGKILL"),
        (ended(139), SILENT, Outcome.SIGNALED, "SIGSEGV"),
        (ended(137), attrs.evolve(FINE, exit_code=137), Outcome.FAILED, "exit code 137"),
        (ended(137, signal=0), SILENT, Outcome.FAILED, "exit code 137"),
        (ended(143, signal=0), attrs.evolve(SILENT, exit_code=143, signal=15), Outcome.SIGNALED, "SIGTERM"),
        (ended(143), attrs.evolve(FINE, exit_code=143, signal=15), Outcome.SIGNALED, "SIGTERM"),
        (ended(3), attrs.evolve(FINE, exit_code=3, signal=15), Outcome.FAILED, "exit code 3"),
        (ended(0), attrs.evolve(FINE, exit_code=143, signal=15), Outcome.SUCCEEDED, ""),
        (ended(134, signal=6), SILENT, Outcome.SIGNALED, "SIGABRT"),
        (ended(137, signal=9, error="no space left"), SILENT, Outcome.INFRASTRUCTURE_ERROR, "no space left"),
        (ended(128 + 40), SILENT, Outcome.SIGNALED, "signal 40"),
        (ended(200), SILENT, Outcome.FAILED, "exit code 200"),
        (ended(137, output_limited=True), SILENT, Outcome.OUTPUT_LIMIT, "output limit"),
        (ended(137, oom_killed=True), SILENT, Outcome.OOM_KILLED, "memory"),
        (ended(137, oom_killed=True, signal=9), SILENT, Outcome.OOM_KILLED, "memory"),
        (ended(7, oom_killed=True), attrs.evolve(FINE, exit_code=7), Outcome.FAILED, "exit code 7"),
        (ended(0, oom_killed=True), FINE, Outcome.SUCCEEDED, ""),
        (ended(None, error="start failed"), SILENT, Outcome.INFRASTRUCTURE_ERROR, "start failed"),
        (ended(None), SILENT, Outcome.INFRASTRUCTURE_ERROR, "exit code"),
        (None, SILENT, Outcome.INFRASTRUCTURE_ERROR, "does not know"),
    ],
)
def test_each_outcome_has_its_evidence(
    status: ContainerStatus | None, reading: ResultReading, outcome: Outcome, said: str
) -> None:
    found = verdict(status, reading)
    assert found.outcome is outcome
    assert said in found.error
    if status is not None:
        assert found.evidence["exit_code"] == status.exit_code
        assert found.evidence["oom_killed"] == status.oom_killed


@pytest.mark.parametrize("why", [Outcome.STOPPED, Outcome.TIMED_OUT, Outcome.OUTPUT_LIMIT])
def test_what_botdock_ended_is_called_by_its_reason_however_it_exited(why: Outcome) -> None:
    assert verdict(ended(0), why=why).outcome is why
    assert verdict(ended(137, oom_killed=True), SILENT, why=why).outcome is why


def test_our_own_failure_is_never_the_bots() -> None:
    found = verdict(ended(137), SILENT, why=Outcome.INFRASTRUCTURE_ERROR, failure="disk full")
    assert (found.outcome, found.error) == (Outcome.INFRASTRUCTURE_ERROR, "disk full")


def test_a_container_that_vanished_is_lost() -> None:
    found = verdict(None, SILENT, why=Outcome.LOST, failure="the container is gone")
    assert (found.outcome, found.error) == (Outcome.LOST, "the container is gone")


def test_a_backtest_without_a_usable_value_has_failed_and_a_bot_has_not() -> None:
    reading = attrs.evolve(FINE, content=b"", problem="not JSON: set at $.a")
    backtest = verdict(ended(0), reading, entrypoint="backtest")
    assert (backtest.outcome, backtest.evidence["value_problem"]) == (Outcome.FAILED, reading.problem)
    bot = verdict(ended(0), reading)
    assert (bot.outcome, bot.evidence["value_dropped"]) == (Outcome.SUCCEEDED, reading.problem)


def test_numbers_that_became_null_are_counted_in_the_evidence() -> None:
    assert verdict(ended(0), attrs.evolve(FINE, nonfinite=2)).evidence["nonfinite_values"] == 2


def test_what_the_engine_says_is_evidence() -> None:
    assert verdict(ended(127, error="no such file"), SILENT).evidence["engine_error"] == "no such file"
