"""Outcomes that look alike, told apart by their evidence, with real engines."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest

from botdock import Config, DockerRunner, Executable, ExecutionResult, Limits, Outcome
from testbed.waiting import until

MakeBot = Callable[..., Executable]

SLEEPER = "import time\ndef main(id, config):\n    print('up', flush=True)\n    time.sleep(600)"
MIB = 1024 * 1024


@pytest.fixture
def process_runner(tmp_path: Path) -> Iterator[DockerRunner]:
    with DockerRunner(Config(engine="process", home=str(tmp_path / "home"))) as runner:
        yield runner


def ended(runner: DockerRunner, bot: Executable, end: Callable[[str], object]) -> ExecutionResult:
    """Start a bot, end it from outside once it is up, and return what that is called."""
    execution = runner.start(bot)
    assert next(execution.logs(follow=True)).text == "up"
    end(execution.container_id)
    result = execution.wait(60)
    assert result is not None
    return result


def test_a_child_that_dies_of_memory_is_noted_and_the_bots_own_code_is_the_outcome(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    source = """
    import subprocess, sys

    def main(id, config):
        assert subprocess.run([sys.executable, "-c", "x = bytearray(512 * 1024 * 1024)"]).returncode == -9
        sys.exit(7)
    """
    result = contained_runner.run(make_bot(source, limits=Limits(memory=64 * MIB)))
    assert (result.outcome, result.exit_code, result.evidence["oom_killed"]) == (Outcome.FAILED, 7, True), result


def test_what_another_kills_is_signaled(runner: DockerRunner, make_bot: MakeBot, docker_host: str) -> None:
    with closing(docker.APIClient(base_url=docker_host)) as client:
        result = ended(runner, make_bot(SLEEPER), client.kill)
    assert (result.outcome, result.exit_code) == (Outcome.SIGNALED, 137), result
    assert (result.evidence["signal"], result.evidence["oom_killed"]) == ("SIGKILL", False)


SLEEPERS = {
    "python311": SLEEPER,
    "nodejs20": "exports.main = () => { console.log('up'); return new Promise(() => setInterval(() => {}, 1000)); };",
    "bash": "echo up; sleep 600",
}


@pytest.mark.parametrize(
    ("runtime", "number"), [("python311", signal.SIGKILL), *((name, signal.SIGTERM) for name in SLEEPERS)]
)
def test_what_another_kills_is_signaled_as_a_process_too(
    process_runner: DockerRunner, make_bot: MakeBot, runtime: str, number: signal.Signals
) -> None:
    def kill(container_id: str) -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it is not ours, or has ended meanwhile
                if container_id.encode() in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), number)

    result = ended(process_runner, make_bot(SLEEPERS[runtime], runtime=runtime), kill)
    assert (result.outcome, result.evidence["signal"]) == (Outcome.SIGNALED, number.name), result


@pytest.mark.parametrize("engine", ["docker", "process"])
@pytest.mark.parametrize("code", [137, 143])
def test_an_exit_code_alone_proves_no_signal(
    request: pytest.FixtureRequest, make_bot: MakeBot, engine: str, code: int
) -> None:
    runner: DockerRunner = request.getfixturevalue("runner" if engine == "docker" else "process_runner")
    result = runner.run(make_bot(f"import sys\ndef main(id, config):\n    sys.exit({code})"))
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, code), result
    assert "signal" not in result.evidence


def test_a_container_that_vanished_is_lost_whatever_it_had_returned(
    docker_config: Config, make_bot: MakeBot, docker_host: str
) -> None:
    with DockerRunner(docker_config) as runner:
        execution = runner.start(make_bot(SLEEPER))
        assert next(execution.logs(follow=True)).text == "up"
        runner.close(stop=False)
    (result_file,) = docker_config.home_dir.glob("executions/*/workspace/result")
    result_file.write_bytes(b'{"botdock": 2, "exit_code": 0, "value_bytes": 1}\n1')
    with closing(docker.APIClient(base_url=docker_host)) as client:
        client.remove_container(execution.container_id, force=True)
    with DockerRunner(docker_config) as successor:
        (found,) = successor.recover()
        result = found.wait(60)
        assert result is not None
        assert (result.outcome, result.exit_code) == (Outcome.LOST, None), result
        assert successor.list_managed_containers() == []


def test_a_bot_that_is_never_ready_is_ended_by_its_start_timeout(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "import time\ndef main(id, config):\n    time.sleep(600)"
    result = runner.run(make_bot(source, start_timeout="2s", silence_timeout="1s"))
    assert (result.outcome, result.evidence["timeout"], result.output) == (Outcome.TIMED_OUT, "start", ""), result


def test_silence_is_counted_from_the_last_byte(process_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "trap 'exit 9' TERM\nfor n in 1 2 3 4 5; do printf .; sleep 0.7; done\nsleep 600 & wait\n"
    execution = process_runner.start(make_bot(source, runtime="bash", silence_timeout=3.0))
    until(lambda: execution.done, timeout=60)
    result = execution.result
    assert (result.outcome, result.evidence["timeout"], result.output) == (Outcome.TIMED_OUT, "silence", "....."), (
        result
    )
    assert result.exit_code == 9, "it had its grace"
