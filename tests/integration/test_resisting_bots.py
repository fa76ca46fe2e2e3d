"""Bots that do not want to end, in containers and as processes: they are gone afterwards, with all that was theirs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import docker
import pytest

from botdock import Config, DockerRunner, Executable, Execution, Limits, Outcome
from botdock_engine_oci import cgroups
from testbed.waiting import wait_until

MakeBot = Callable[..., Executable]
Left = Callable[[], list[str]]

STUBBORN = """
import os, signal, time

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)

def main(id, config):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(5):  # zombies, which none waits for
        if os.fork() == 0:
            os._exit(0)
    if os.fork() == 0:  # a daemon in a session of its own, whose parent has ended
        os.setsid()
        if os.fork() == 0:
            deaf()
        os._exit(0)
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        deaf()
    print("up", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    deaf()
"""
CHAIN = """
import os, signal, time

def main(id, config):
    print("up", flush=True)
    if os.fork() == 0:
        os.setsid()
        while True:  # each lives for a moment only
            if os.fork():
                time.sleep(0.002)
                os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)
"""
BOMB = """
import os

def main(id, config):
    print("up", flush=True)
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""


@pytest.fixture(params=["docker", "oci", "process"])
def any_runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DockerRunner]:
    """A runner on each engine."""
    if request.param == "process":
        config = Config(engine="process", home=str(tmp_path / "home"))
    else:
        config = request.getfixturevalue(f"{request.param}_config")
    with DockerRunner(attrs.evolve(config, runtime=attrs.evolve(config.runtime, grace=0.5))) as runner:
        yield runner


def processes_of(container_id: str) -> list[str]:
    """Return the processes of a bot, zombies too, by their environment or their control group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if any(container_id.encode() in (folder / name).read_bytes() for name in ("environ", "cgroup")):
                found.append(f"process {folder.name} {(folder / 'comm').read_text().strip()}")
    return found


def folders_of(runner: DockerRunner, execution: Execution) -> list[str]:
    """Return what lies on the disk of an execution, but for the record that stays."""
    name = f"*{execution.execution_id}*"
    named = [str(path) for path in (*runner.config.home_dir.rglob(name), *Path(tempfile.gettempdir()).glob(name))]
    return [path for path in named if not path.endswith(f"/executions/{execution.execution_id}")] + [
        str(path) for path in runner.config.home_dir.glob("executions/*/workspace")
    ]


def docker_left(host: str, container_id: str, before: dict[str, Any], networks: list[str]) -> list[str]:
    """Return what Docker, and the kernel for it, has left of a container."""
    with closing(docker.APIClient(base_url=host)) as client:
        left = [one["Id"] for one in client.containers(all=True) if one["Id"] == container_id]
        left += sorted({one["Id"] for one in client.networks()} - set(networks))
    mounts = Path("/proc/self/mountinfo").read_text()
    places = (container_id, before["GraphDriver"]["Data"].get("MergedDir", container_id))
    left += [f"mount of {place}" for place in places if place in mounts]
    # its network namespace is not looked for: Docker sweeps those once a minute
    return left + [before["folder"]] * Path(before["folder"]).exists()


def oci_left(container_id: str, home: str) -> list[str]:
    """Return what the kernel has left of a container of the oci engine."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if home in line]
    return mounts + [folder for folder in cgroups.folders_of(container_id) if Path(folder).exists()]


@pytest.fixture
def watch(any_runner: DockerRunner, request: pytest.FixtureRequest) -> Callable[[Execution], Left]:
    """Return a function that looks at a bot while it runs, and returns one that says what is left of it afterwards."""

    def look(execution: Execution) -> Left:
        container_id = execution.container_id
        beyond: Left = list
        if any_runner.config.engine == "docker":
            host = request.getfixturevalue("docker_host")
            with closing(docker.APIClient(base_url=host)) as client:
                networks = [one["Id"] for one in client.networks()]
                before = client.inspect_container(container_id)
                before["folder"] = f"{client.info()['DockerRootDir']}/containers/{container_id}"
                assert Path(before["folder"]).is_dir()
                beyond = partial(docker_left, host, container_id, before, networks)
        if any_runner.config.engine == "oci":
            beyond = partial(oci_left, container_id, str(any_runner.config.home_dir))
        assert processes_of(container_id), "they can be found while it runs"

        def left() -> list[str]:
            listed = [one.name for one in any_runner.list_managed_containers()]
            here = processes_of(container_id) + folders_of(any_runner, execution)
            return listed + here + beyond()

        return left

    return look


@pytest.mark.parametrize("end", ["wall", "silence", "stop"])
def test_a_bot_that_resists_is_gone_with_all_that_was_its_own(
    any_runner: DockerRunner, make_bot: MakeBot, watch: Callable[[Execution], Left], end: str
) -> None:
    """It is deaf to SIGTERM, stops itself, leaves zombies, a stopped child, and a deaf daemon that forked twice."""
    timeouts = {"wall": {"timeout": 3.0}, "silence": {"silence_timeout": 3.0}, "stop": {}}[end]
    bot = make_bot(STUBBORN, id=f"stubborn-{end}-{any_runner.config.engine}", **timeouts)
    execution = any_runner.start(bot)
    assert next(execution.logs(follow=True)).text == "up"
    left = watch(execution)
    if end == "stop":
        execution.stop()
    result = execution.wait(120)
    assert result is not None
    assert result.outcome is (Outcome.STOPPED if end == "stop" else Outcome.TIMED_OUT), result
    assert result.evidence.get("timeout") == (None if end == "stop" else end)
    assert (result.exit_code, result.output) == (137, "up\n")
    assert wait_until(lambda: left() == [], timeout=60, interval=0.2), left()


def test_what_forks_and_ends_all_the_time_is_gone(
    any_runner: DockerRunner, make_bot: MakeBot, watch: Callable[[Execution], Left]
) -> None:
    execution = any_runner.start(make_bot(CHAIN, id=f"chain-{any_runner.config.engine}"))
    assert next(execution.logs(follow=True)).text == "up"
    left = watch(execution)
    execution.stop()
    assert execution.result.outcome is Outcome.STOPPED
    assert wait_until(lambda: left() == [], timeout=60, interval=0.2), left()


def test_a_bomb_that_fills_its_pids_is_gone(
    any_runner: DockerRunner, make_bot: MakeBot, watch: Callable[[Execution], Left]
) -> None:
    if any_runner.config.engine == "process":
        pytest.skip("the process engine bounds no number of processes, and says so")
    execution = any_runner.start(make_bot(BOMB, id="bomb", limits=Limits(pids=48)))
    assert next(execution.logs(follow=True)).text == "up"
    left = watch(execution)
    execution.stop()
    assert execution.result.outcome is Outcome.STOPPED
    assert wait_until(lambda: left() == [], timeout=60, interval=0.2), left()
