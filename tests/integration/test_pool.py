"""Containers that wait for runs, under the whole profile, on each engine of containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable, Outcome
from botdock.config import document
from testbed.waiting import until

MakeBot = Callable[..., Executable]

ASK = """
    import os, socket

    def main(id, config):
        print("user", os.getuid(), os.environ["USER"], sorted(os.listdir(".")))
        try:
            open("new", "w")
        except OSError as error:
            print("code", error.strerror)
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        except OSError as error:
            print("network", error.strerror)
        return {"id": id, "config": config, "variable": os.environ.get("MINE")}
"""
HOLDER = """
import sys, json, time
from botdock import Config, DockerRunner, Executable

runner = DockerRunner(Config.load(environ={}, overrides=json.loads(sys.argv[1])))
report = runner.warm({"python311": 2})
print(report.kinds[0].waiting, report.kinds[0].error, flush=True)
if len(sys.argv) > 2:
    execution = runner.start(Executable(id="counts", runtime="python311", file_path=sys.argv[2]))
    print(next(execution.logs(follow=True)).text, flush=True)
time.sleep(600)
"""
USED = """
import sys, json, time
from botdock import Config, DockerRunner, Executable
from botdock.pool import _removals

_removals._DELAY = 600.0
runner = DockerRunner(Config.load(environ={}, overrides=json.loads(sys.argv[1])))
runner.warm({"python311": 1})
result = runner.run(Executable(id="used", runtime="python311", file_path=sys.argv[2]))
runner.warm({"python311": 1})  # nothing is being started when it is killed
print(result.outcome.value, "waited" in result.evidence["pool"], result.container_id, flush=True)
time.sleep(600)
"""
COUNTS = """
import time

def main(id, config):
    for number in range(30):
        print(number)
        time.sleep(0.1)
    return number
"""


def test_a_run_goes_into_one_that_waited_and_is_isolated_as_any_other(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    report = contained_runner.warm({"python311": 1})
    assert [(kind.name, kind.waiting, kind.error) for kind in report.kinds] == [("python311 bot", 1, "")]
    assert contained_runner.list_managed_containers() == []
    bot = make_bot(ASK, config={"depth": 2}, env={"MINE": "é"}, files={"data/numbers.txt": "1 2 3"})
    warm = contained_runner.run(bot)
    assert (warm.outcome, warm.error) == (Outcome.SUCCEEDED, "")
    assert warm.evidence["pool"]["waited"] >= 0
    cold = contained_runner.run(make_bot(ASK, config={"depth": 2}, env={"MINE": "é"}, limits={"pids": 50}))
    assert cold.evidence["pool"] == {"miss": "template"}
    assert warm.value == cold.value == {"id": "probe", "config": {"depth": 2}, "variable": "é"}
    user, code, network = warm.output.splitlines()
    assert user.endswith("bot ['data', 'main.py']")
    assert (code, network) == tuple(cold.output.splitlines()[1:]) == ("code Read-only file system", network)
    assert contained_runner.list_managed_containers() == []
    until(lambda: warm.container_id not in container_ids(contained_runner))
    until(lambda: not list(contained_runner.config.home_dir.glob("pool/*/*/execution")))


SECRET = {
    "python311": "def main(id, config):\n    return open('/run/secrets/KEY').read()",
    "nodejs20": "exports.main = () => require('fs').readFileSync('/run/secrets/KEY', 'utf8')",
    "bash": """printf '"%s"' "$(cat /run/secrets/KEY)" >"$BOTDOCK_RESULT_FILE" """,
}


@pytest.mark.parametrize("runtime", SECRET)
def test_each_runtime_runs_in_one_that_waited_and_gets_its_secrets(
    contained_runner: DockerRunner, make_bot: MakeBot, runtime: str
) -> None:
    report = contained_runner.warm({runtime: 1})
    assert [(kind.waiting, kind.error) for kind in report.kinds] == [(1, "")]
    result = contained_runner.run(make_bot(SECRET[runtime], runtime=runtime, secrets={"KEY": "s3cr3t-s3cr3t"}))
    assert (result.outcome, result.error, result.value) == (Outcome.SUCCEEDED, "", "*" * 13)
    assert result.evidence["pool"]["waited"] >= 0
    assert result.container_id not in container_ids(contained_runner), "its engine has the log, with what was printed"


def test_one_that_became_an_execution_is_shown_and_stopped_as_one(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    contained_runner.warm({"python311": 1})
    execution = contained_runner.start(
        make_bot("import time\ndef main(id, config):\n    print('up')\n    time.sleep(600)", segment=7)
    )
    assert next(execution.logs(follow=True)).text == "up"
    assert execution.result.evidence["pool"]["waited"] >= 0
    (shown,) = contained_runner.list_managed_containers(segment=7)
    assert (shown.execution_id, shown.container_id) == (execution.execution_id, execution.container_id)
    assert contained_runner.list_managed_containers(segment=8) == []
    execution.stop()
    assert execution.result.outcome is Outcome.STOPPED


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "oci"])
def test_what_waited_for_a_runner_that_was_killed_is_removed(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    config: Config = request.getfixturevalue(f"{engine}_config")
    given = json.dumps(document(config, show_secrets=True))
    with subprocess.Popen([sys.executable, "-c", HOLDER, given], stdout=subprocess.PIPE, cwd=tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().split() == [b"2"]
        os.kill(holder.pid, signal.SIGKILL)
    with DockerRunner(config) as runner:
        assert len(runner.leftovers()) == 2
        assert runner.recover() == []
        until(lambda: runner.leftovers() == [])
        assert container_ids(runner) == []
    assert not list(config.home_dir.glob("pool/*"))


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "oci"])
def test_what_was_used_by_a_runner_that_was_killed_before_it_removed_it_is_removed_by_the_next(
    request: pytest.FixtureRequest, make_bot: MakeBot, tmp_path: Path, engine: str
) -> None:
    config: Config = request.getfixturevalue(f"{engine}_config")
    given, code = json.dumps(document(config, show_secrets=True)), make_bot("def main(id, config): pass").file_path
    with subprocess.Popen([sys.executable, "-c", USED, given, code], stdout=subprocess.PIPE, cwd=tmp_path) as user:
        assert user.stdout is not None
        outcome, waited, container_id = user.stdout.readline().decode().split()
        os.kill(user.pid, signal.SIGKILL)
    assert (outcome, waited) == ("succeeded", "True")
    with DockerRunner(config) as runner:
        assert container_id in container_ids(runner)
        assert runner.list_managed_containers() == []
        assert runner.recover() == []
        assert container_ids(runner) == []
        assert runner.leftovers() == []
    assert not list(config.home_dir.glob("pool/*"))


def container_ids(runner: DockerRunner) -> list[str]:
    listed = runner._orchestrator.containers.list_containers({"io.botdock.owner": runner._factory.owner})
    return [info.container_id for info in listed]


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "oci"])
def test_what_began_in_one_that_waited_outlives_its_runner_as_any_other(
    request: pytest.FixtureRequest, make_bot: MakeBot, tmp_path: Path, engine: str
) -> None:
    config: Config = request.getfixturevalue(f"{engine}_config")
    given, code = json.dumps(document(config, show_secrets=True)), make_bot(COUNTS).file_path
    with subprocess.Popen([sys.executable, "-c", HOLDER, given, code], stdout=subprocess.PIPE, cwd=tmp_path) as holder:
        assert holder.stdout is not None
        assert [holder.stdout.readline().split() for _ in range(2)] == [[b"2"], [b"0"]]
        os.kill(holder.pid, signal.SIGKILL)
    with DockerRunner(config) as runner:
        (execution,) = runner.recover()
        (shown,) = runner.list_managed_containers()
        assert shown.execution_id == execution.execution_id
        result = execution.wait(60)
        assert result is not None
        assert (result.outcome, result.value) == (Outcome.SUCCEEDED, 29)
        assert result.output.split() == [str(number) for number in range(30)]
        assert runner.list_managed_containers() == []
        assert runner.recover() == []
    assert not list(config.home_dir.glob("pool/*"))
