"""The daemon hangs for longer than each call may take, and goes on."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Execution, Outcome
from botdock.config import ContainersConfig
from botdock.errors import EngineTimeoutError
from testbed.daemon import PrivateDaemon
from testbed.drills import SEED, count
from testbed.waiting import until

pytestmark = pytest.mark.docker

MakeBot = Callable[..., Executable]

CALL = 5.0
"""Seconds that a call may take here."""
SOURCE = """
import time

def main(id, config):
    for number in range(config["lines"]):
        print("line", number)
        time.sleep(0.05)
    return "done"
"""


@pytest.fixture
def make_bot(tmp_path: Path) -> MakeBot:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text(SOURCE)

    def make(lines: int, **fields: object) -> Executable:
        return Executable(
            id="patient",
            runtime="python311",
            file_path=str(tmp_path / "code"),
            config={"lines": lines},
            **{"timeout": 300.0, **fields},  # type: ignore[arg-type]  # checked by Executable itself
        )

    return make


@pytest.fixture
def config(drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config]) -> Config:
    patient = ContainersConfig(call_timeout=CALL, retries=0, reconnect_timeout=120.0)
    return make_docker_config(host=drill_daemon.host, containers=patient)


@contextmanager
def frozen(daemon: PrivateDaemon) -> Iterator[None]:
    pid = daemon.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def waited_out(call: Callable[[], object], times: int) -> None:
    """Let calls run into their timeout, so many one after the other."""
    for _ in range(times):
        with pytest.raises(EngineTimeoutError):
            call()


def ends_by_itself(daemon: PrivateDaemon, runner: DockerRunner, make_bot: MakeBot) -> None:
    """It does so while the daemon hangs; its silence timeout is shorter than that."""
    execution = runner.start(make_bot(20, start_timeout=60.0, silence_timeout=CALL))
    lines = execution.logs(follow=True)
    seen = [next(lines).text]
    with frozen(daemon):
        waited_out(runner.list_managed_containers, 2)
        assert not execution.done
    seen += [line.text for line in lines]
    result = execution.wait(120)
    assert result is not None
    assert (result.outcome, result.value) == (Outcome.SUCCEEDED, "done"), result
    assert seen == [f"line {number}" for number in range(20)]
    assert (result.log.gaps, result.log.complete) == (0, True)


def is_stopped(daemon: PrivateDaemon, runner: DockerRunner, make_bot: MakeBot) -> None:
    """By its owner, who is told that it could not be; and by another process."""
    execution = runner.start(make_bot(100_000))
    assert next(execution.logs(follow=True)).text == "line 0"
    with frozen(daemon):
        waited_out(execution.stop, 1)
        runner.executions.request_stop(execution.execution_id)
        waited_out(runner.list_managed_containers, 1)
        assert not execution.done
    ends_as(Outcome.STOPPED, execution)


def runs_out_of_time(daemon: PrivateDaemon, runner: DockerRunner, make_bot: MakeBot) -> None:
    """Its wall time is over while the daemon hangs."""
    execution = runner.start(make_bot(100_000, timeout=8.0))
    assert next(execution.logs(follow=True)).text == "line 0"
    with frozen(daemon):
        waited_out(runner.list_managed_containers, 2)
        assert not execution.done
    ends_as(Outcome.TIMED_OUT, execution)


def ends_as(outcome: Outcome, execution: Execution) -> None:
    until(lambda: execution.done, timeout=120)
    result = execution.result
    assert result.outcome is outcome, result
    assert (result.log.gaps, result.log.complete) == (0, True)


def is_started(daemon: PrivateDaemon, runner: DockerRunner, make_bot: MakeBot) -> None:
    """That fails, and leaves nothing."""
    assert runner.run(make_bot(1)).outcome is Outcome.SUCCEEDED
    with frozen(daemon):
        waited_out(lambda: runner.start(make_bot(1)), 1)
    until(lambda: runner.list_managed_containers() == [], timeout=60)
    assert runner.run(make_bot(1)).outcome is Outcome.SUCCEEDED


CASES = (ends_by_itself, is_stopped, runs_out_of_time, is_started)


@pytest.mark.parametrize("round_", range(count(5, 1)))
@pytest.mark.parametrize("case", random.Random(SEED).sample(CASES, count(4, 1)), ids=lambda case: case.__name__)
def test_a_daemon_that_hangs_costs_a_bot_nothing_and_leaves_nothing(
    drill_daemon: PrivateDaemon, config: Config, make_bot: MakeBot, case: Callable[..., None], round_: int
) -> None:
    del round_
    with DockerRunner(config) as runner:
        case(drill_daemon, runner, make_bot)
        until(lambda: runner.list_managed_containers() == [], timeout=60)
    assert list(config.home_dir.glob("executions/*/workspace")) == []
