"""`botdock recover` over a facade that does what the test says."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import ExecutionResult, Outcome
from botdock.orchestrator import Leftover

PATIENCE = 10.0
RUNNING = ExecutionResult(execution_id="01old", id="sma")


class Recovered:
    """An execution that was taken over: it ends when the test says so, or when it is stopped."""

    def __init__(self, execution_id: str = "01old") -> None:
        self.result = attrs.evolve(RUNNING, execution_id=execution_id)
        self.execution_id = execution_id
        self.asked = 0
        self.ends_when_asked: Callable[[int], Outcome | None] = lambda times: None
        self.stops = True
        self.ended_by: list[str] = []

    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        del timeout
        self.asked += 1
        if self.result.outcome is None and (outcome := self.ends_when_asked(self.asked)):
            self.ends(outcome)
        return self.result if self.result.outcome else None

    def ends(self, outcome: Outcome, **facts: Any) -> Recovered:
        self.result = attrs.evolve(self.result, outcome=outcome, **facts)
        return self

    def stop(self, grace: float | None = None) -> None:
        del grace
        self.ended_by.append("stop")
        if self.stops:
            self.ends(Outcome.STOPPED)

    def kill(self) -> None:
        self.ended_by.append("kill")
        self.ends(Outcome.STOPPED)


@pytest.fixture
def recovers(fake_runner: Any) -> Callable[..., Any]:
    """Say what the facade finds."""

    def use(*executions: Any) -> Any:
        fake_runner.recover = lambda *, only: list(executions)
        return fake_runner

    return use


def test_nothing_to_recover_is_said(cli: Callable[..., Any], recovers: Callable[..., Any], own_home: Any) -> None:
    recovers()
    done = cli("recover")
    assert (done.code, done.out, done.err) == (0, "", f"botdock: nothing to recover in {own_home}\n")


def test_nothing_to_recover_is_an_empty_list_too(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    recovers()
    assert json.loads(cli("recover", "--json").stdout) == []


def test_each_is_adopted_and_seen_to_its_end(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    running, ended = Recovered("01a"), Recovered("01b").ends(Outcome.FAILED, error="exit code 3", duration=1.5)
    running.ends_when_asked = lambda times: Outcome.SUCCEEDED if times > 3 else None
    runner = recovers(running, ended)
    done = cli("recover", "--engine", "process")
    assert done.code == 0
    assert done.out.splitlines() == [
        "01a  sma  adopted; it still runs",
        "01b  sma  failed after 1.5s: exit code 3",
        "01a  sma  succeeded after 0ms",
    ]
    assert runner.config.engine == "process"
    assert runner.closed


def test_json_is_one_list_of_results(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    recovers(Recovered("01a").ends(Outcome.SUCCEEDED), Recovered("01b").ends(Outcome.LOST))
    done = cli("recover", "--json")
    found = [(one["execution_id"], one["outcome"]) for one in json.loads(done.stdout)]
    assert (done.code, found) == (0, [("01a", "succeeded"), ("01b", "lost")])


def test_an_execution_that_ended_badly_is_finished_all_the_same(
    cli: Callable[..., Any], recovers: Callable[..., Any]
) -> None:
    said = "its runner died before the bot was started"
    recovers(Recovered().ends(Outcome.LOST), Recovered().ends(Outcome.INFRASTRUCTURE_ERROR, error=said))
    done = cli("recover")
    assert (done.code, done.err) == (0, "")
    assert f"infrastructure_error after 0ms: {said}" in done.out


def test_one_that_is_left_is_named_and_is_code_125(
    cli: Callable[..., Any], recovers: Callable[..., Any], logged: Callable[..., Any]
) -> None:
    left, living, ended = logged(), logged().lives(), logged().concludes(outcome="lost")
    recovers(Recovered().ends(Outcome.SUCCEEDED))
    told = cli("recover")
    assert told.code == 125
    assert told.err.startswith(f"botdock: not recovered: {left.execution_id}\n")
    assert living.execution_id not in told.err
    assert ended.execution_id not in told.err


def test_one_that_another_runner_took_meanwhile_is_not_left(
    cli: Callable[..., Any], fake_runner: Any, logged: Callable[..., Any]
) -> None:
    taken = logged()

    def too_late(*, only: object) -> list[Any]:
        taken.lives()
        return []

    fake_runner.recover = too_late
    assert cli("recover").code == 0


def test_a_dry_run_only_says_what_would_be_done(cli: Callable[..., Any], fake_runner: Any, own_home: Any) -> None:
    fake_runner.leftovers = list
    done = cli("recover", "--dry-run")
    assert (done.code, done.out, done.err) == (0, "", f"botdock: nothing to recover in {own_home}\n")
    stray = Leftover(kind="container", name="c1", execution_id="01a", reason="it has no record", action="remove it")
    fake_runner.leftovers = lambda: [stray]
    assert cli("recover", "--dry-run").out == "container c1: it has no record; remove it\n"
    assert json.loads(cli("recover", "--dry-run", "--json").stdout) == [{"schema": 1, **attrs.asdict(stray)}]


def test_a_dry_run_makes_nothing(cli: Callable[..., Any], own_home: Any) -> None:
    told = cli("recover", "--dry-run", "--engine", "process")
    assert (told.code, told.err) == (0, f"botdock: nothing to recover in {own_home}\n")
    assert not own_home.exists()


def test_an_engine_that_does_not_answer_is_told(cli: Callable[..., Any], fake_runner: Any) -> None:
    def fail(*, only: object) -> None:
        raise EngineUnavailableError("Docker does not answer", hint="Start it.")

    fake_runner.recover = fail
    told = cli("recover", "--engine", "docker")
    assert (told.code, told.err) == (125, "botdock: Docker does not answer\n  Start it.\n")


def test_nothing_to_recover_needs_no_engine_unless_one_is_named(
    cli: Callable[..., Any], fake_runner: Any, own_home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, only: object = None) -> Any:
        raise EngineUnavailableError("no engine to run on", hint="Start one.")

    fake_runner.recover = fake_runner.leftovers = fail
    unseen = "containers of no execution were not looked for: no engine to run on"
    said = f"botdock: {unseen}\nbotdock: nothing to recover in {own_home}\n"
    for options in ((), ("--dry-run",)):
        told = cli("recover", *options)
        assert (told.code, told.out, told.err) == (0, "", said)
    monkeypatch.setenv("BOTDOCK_ENGINE", "docker")
    assert cli("recover").code == 125


def pressing(execution: Recovered, *numbers: int) -> None:
    """Let signals come while the bot is waited for, each when the one before it has been answered."""

    def press(times: int) -> None:
        if 2 <= times < 2 + len(numbers):
            os.kill(os.getpid(), numbers[times - 2])

    execution.ends_when_asked = press


def test_the_first_ctrl_c_only_asks(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    execution = Recovered()

    def once(times: int) -> Outcome | None:
        if times == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return Outcome.SUCCEEDED if times > 5 else None

    execution.ends_when_asked = once
    recovers(execution)
    done = cli("recover")
    assert (done.code, execution.ended_by) == (0, [])
    assert "this is the runner of 1 that still runs: 01old\n  Ctrl-C again stops what runs; log" in done.err


def test_the_second_ctrl_c_stops_and_keeps_everything(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    execution = Recovered()
    pressing(execution, signal.SIGINT, signal.SIGINT)
    recovers(execution)
    done = cli("recover")
    assert (done.code, execution.ended_by) == (130, ["stop"])
    assert done.out.splitlines()[-1] == "01old  sma  stopped after 0ms"
    assert "stopping the bots; once more kills them" in done.err


def test_the_third_ctrl_c_kills(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    execution = Recovered()
    execution.stops = False
    pressing(execution, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    recovers(execution)
    assert cli("recover").code == 130
    assert sorted(execution.ended_by) == ["kill", "stop"]


def test_a_service_manager_stops_them_at_once(cli: Callable[..., Any], recovers: Callable[..., Any]) -> None:
    execution = Recovered()
    pressing(execution, signal.SIGTERM)
    recovers(execution)
    done = cli("recover")
    assert (done.code, execution.ended_by) == (143, ["stop"])


def test_a_stop_that_fails_is_told_and_the_kill_still_comes(
    cli: Callable[..., Any], recovers: Callable[..., Any]
) -> None:
    execution = Recovered()

    def fail(grace: float | None = None) -> None:
        raise ContainerError("the daemon is gone")

    execution.stop = fail  # type: ignore[method-assign] # for this test
    pressing(execution, signal.SIGTERM, signal.SIGTERM)
    recovers(execution)
    done = cli("recover")
    assert done.code == 143
    assert "a bot could not be stopped: the daemon is gone" in done.err


def test_an_interrupt_while_it_looks_ends_it(cli: Callable[..., Any], fake_runner: Any) -> None:
    fake_runner.recover = lambda *, only: os.kill(os.getpid(), signal.SIGINT)
    told = cli("recover")
    assert (told.code, told.err) == (130, "botdock: interrupted; `botdock recover` goes on with what is left\n")
    assert fake_runner.closed


def test_a_reader_that_goes_away_ends_no_bot(recovers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    execution = Recovered()
    execution.ends_when_asked = lambda times: Outcome.SUCCEEDED if times > 3 else None
    recovers(execution)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        from botdock_cli.main import main

        assert main(["recover"]) == 141
    assert execution.ended_by == []
