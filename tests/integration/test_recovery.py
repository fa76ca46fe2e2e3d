"""The end of a log and what runs, seen from another runner, in real containers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from botdock import BotdockError, Config, DockerRunner, Executable, Outcome
from botdock.errors import UserError

MakeBot = Callable[..., Executable]


def test_the_end_of_a_log_is_shown_when_the_container_is_gone(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    result = contained_runner.run(make_bot("def main(id, config):\n    for number in range(5):\n        print(number)"))
    with DockerRunner(contained_runner.config) as other:
        for name in (result.container_id, result.execution_id, result.execution_id[:20], "probe"):
            assert other.get_container_logs(name, tail=2) == "3\n4"
    assert contained_runner.get_container_logs("probe").splitlines() == ["0", "1", "2", "3", "4"]
    assert contained_runner.get_container_logs("probe", tail=0) == ""
    with pytest.raises(UserError, match="did you mean probe"):
        contained_runner.get_container_logs("prob")


def test_the_end_of_a_log_is_shown_while_the_bot_runs(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "import time\ndef main(id, config):\n    print('up')\n    time.sleep(600)"
    execution = contained_runner.start(make_bot(source, is_long_running=True))
    assert next(execution.logs(follow=True)).text == "up"
    with DockerRunner(contained_runner.config) as other:
        assert other.get_container_logs(execution.container_id) == "up"
        assert other.recover() == [], "its runner lives"
    execution.kill()
    result = execution.wait(30)
    assert result is not None
    assert result.outcome is Outcome.STOPPED


def test_a_closed_runner_recovers_nothing(docker_config: Config) -> None:
    runner = DockerRunner(docker_config)
    runner.close()
    with pytest.raises(BotdockError, match="closed"):
        runner.recover()
