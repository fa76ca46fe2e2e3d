"""The daemon killed under a running bot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import ContainersConfig
from testbed.daemon import PrivateDaemon

pytestmark = pytest.mark.docker

SOURCE = """
import os, time

def main(id, config):
    for number in range(200):
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


def test_a_daemon_that_stays_away_is_an_infrastructure_error(
    drill_daemon: PrivateDaemon, make_docker_config: Callable[..., Config], bot: Executable
) -> None:
    impatient = ContainersConfig(reconnect_timeout=1.0, call_timeout=5.0, retries=0)
    with DockerRunner(make_docker_config(host=drill_daemon.host, containers=impatient)) as runner:
        execution = runner.start(bot)
        assert next(execution.logs(follow=True)).text == "line 0"
        drill_daemon.kill()
        result = execution.wait(timeout=60)
        assert result is not None
        assert result.outcome is Outcome.INFRASTRUCTURE_ERROR, result
        assert result.exit_code is None
        assert result.error
        assert any("container" in problem for problem in result.evidence["left_behind"])
    assert list(runner.config.home_dir.glob("executions/*/workspace")) == []
    assert len(drill_daemon.remove_containers()) == 1
