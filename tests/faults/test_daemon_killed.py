"""The daemon killed under a running bot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import ContainersConfig
from botdock.orchestrator import running
from botdock_cli.check_machine import check_executions
from testbed.daemon import PrivateDaemon
from testbed.waiting import until

pytestmark = pytest.mark.docker

SOURCE = """
import os, time

def main(id, config):
    for number in range(200 if config.get("ends", True) else 10_000):
        print("line", number)
        time.sleep(0.02)
    return "done"
"""


@pytest.fixture
def bot(tmp_path: Path) -> Executable:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text(SOURCE)
    return Executable(id="survivor", runtime="python311", file_path=str(tmp_path / "code"), timeout=120.0)


def test_a_bot_outlives_its_daemon_and_no_line_is_missing(
    drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], bot: Executable
) -> None:
    with DockerRunner(make_docker_config(host=drill_daemon.host)) as runner:
        execution = runner.start(bot)
        lines = execution.logs(follow=True)
        seen = [next(lines).text for _ in range(3)]
        drill_daemon.restart()
        seen += [line.text for line in lines]
        result = execution.wait(timeout=60)
        assert result is not None
        assert result.outcome is Outcome.SUCCEEDED, result
        assert result.value == "done"
        assert seen == [f"line {number}" for number in range(200)]
        assert (result.log.gaps, result.log.complete) == (0, True)
        assert runner.list_managed_containers() == []
    assert list(runner.config.home_dir.glob("executions/*/workspace")) == []


@pytest.fixture
def ending_daemon(drill_daemon: PrivateDaemon) -> Iterator[PrivateDaemon]:
    """The daemon, which ends containers when it is started anew."""
    drill_daemon.live_restore = False
    drill_daemon.restart()
    yield drill_daemon
    drill_daemon.live_restore = True
    drill_daemon.restart()


@pytest.mark.parametrize("by", ["its runner", "the next runner"])
def test_a_bot_that_its_daemon_ends_is_no_success_and_keeps_its_log(
    ending_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], bot: Executable, by: str
) -> None:
    patient = ContainersConfig(reconnect_timeout=120.0)
    config = make_docker_config(host=ending_daemon.host, containers=patient)
    with DockerRunner(config) as runner:
        execution = runner.start(attrs.evolve(bot, config={"ends": False}))
        lines = execution.logs(follow=True)
        seen = [next(lines).text for _ in range(3)]
        if by == "the next runner":
            runner.close(stop=False)
        ending_daemon.restart()
        if by == "its runner":
            seen += [line.text for line in lines]
            assert execution.wait(60) is not None
    if by == "the next runner":
        with DockerRunner(config) as runner:
            (execution,) = runner.recover()
            assert execution.wait(60) is not None
            seen = [line.text for line in execution.logs()]
    result = execution.result
    assert (result.outcome, result.exit_code) == (Outcome.SIGNALED, 143), "SIGTERM, after which Python ends"
    assert seen == [f"line {number}" for number in range(len(seen))]
    assert len(seen) >= 3
    assert result.log.gaps == 0
    assert ending_daemon.remove_containers() == []
    assert list(config.home_dir.glob("executions/*/workspace")) == []


@pytest.mark.parametrize("lives_on", [True, False])
def test_a_bot_whose_runner_gave_up_is_ended_when_the_daemon_returns(
    drill_daemon: PrivateDaemon,
    make_docker_config: Callable[..., Config],
    bot: Executable,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lives_on: bool,
) -> None:
    monkeypatch.setattr(running, "LONGEST_PAUSE", 1.0)
    impatient = ContainersConfig(reconnect_timeout=1.0, call_timeout=5.0, retries=0)
    config = make_docker_config(host=drill_daemon.host, containers=impatient)
    with DockerRunner(config) as runner:
        execution = runner.start(attrs.evolve(bot, config={"ends": False}, timeout=5.0, secrets={"KEY": "canary-51d7"}))
        assert next(execution.logs(follow=True)).text == "line 0"
        drill_daemon.kill()
        result = execution.wait(timeout=60)
        assert result is not None
        assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, None), result
        assert any("container" in problem for problem in result.evidence["left_behind"])
        folder = config.home_dir / "executions" / result.execution_id
        assert not (folder / "outcome.json").exists(), "its container lives: it is not finished"
        assert [check.name for check in check_executions(config)] == ["executions.owed"]
        if lives_on:
            drill_daemon.start()
            until((folder / "outcome.json").exists)
    if not lives_on:
        assert not (folder / "outcome.json").exists()
        drill_daemon.start()
        with closing(drill_daemon.client()) as client:
            assert len(client.containers()) == 1, "it runs on, past its wall time"
        with DockerRunner(config) as runner:
            assert [one.action for one in runner.leftovers()] == ["end and remove its container, finish it"]
            (again,) = runner.recover()
            assert again.wait(60) is not None
    outcome = json.loads((folder / "outcome.json").read_text())
    assert (outcome["outcome"], outcome["error"]) == ("infrastructure_error", result.error)
    assert outcome["evidence"]["removed_later"] == result.evidence["left_behind"]
    assert [check.name for check in check_executions(config)] == ["executions"]
    assert list(config.home_dir.glob("executions/*/workspace")) == []
    assert drill_daemon.remove_containers() == []
