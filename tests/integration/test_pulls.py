"""Pulls that several processes want at once, and pulls that their caller wants no longer, on a real Docker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import ContainersConfig, Policy
from botdock.errors import UserError
from botdock.executions import Executions
from botdock.model import ExecutionResult, Outcome
from botdock.services.pulled_images import PulledImages
from botdock.services.pulling import OTHER
from testbed.proxy import Fault, FaultProxy
from testbed.registry import Pushed, Registry
from testbed.waiting import until

MakeBot = Callable[..., Executable]

PULLER = """
import sys
from botdock import Config
from botdock.factory import ServiceFactory
from botdock.plugin_manager import PluginManager

config = Config(engine="docker", home=sys.argv[1])
containers = ServiceFactory(config, PluginManager.load()).create_container_service()
told = set()
def progress(made):
    if made.note and made.note not in told:
        told.add(made.note)
        print(made.note, flush=True)
print(containers.pull_image(sys.argv[2], progress).pulled, flush=True)
"""


def is_pulling(proxy: FaultProxy) -> bool:
    return proxy.count("/blobs/") > 0


@pytest.fixture
def pushed(registry: Registry, make_image: Callable[..., Pushed]) -> Pushed:
    return make_image(registry)


@pytest.fixture
def pulled_once(pushed: Pushed, registry_proxy: FaultProxy) -> str:
    return pushed.at(registry_proxy.endpoint)


@pytest.fixture
def start_puller(docker_host: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a process which pulls an image, and says what it waits for, and its end."""
    processes: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "DOCKER_HOST": docker_host}

    def start(image: str, home: Path = tmp_path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PULLER, str(home), image]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def next_word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_want_an_image_at_once_share_one_pull(
    pulled_once: str, registry_proxy: FaultProxy, start_puller: Any, tmp_path: Path
) -> None:
    with PulledImages(tmp_path).turn("docker", pulled_once) as turn:  # until all of them wait
        assert turn is not None
        processes = [start_puller(pulled_once) for _ in range(2)]
        assert [next_word(process) for process in processes] == [OTHER] * 2
    assert sorted(next_word(process) for process in processes) == ["False", "True"]
    assert registry_proxy.count("GET /v2/.*/manifests") == 1
    assert [image.reference for image in PulledImages(tmp_path).all("docker")] == [pulled_once]


def test_one_that_is_killed_while_it_pulls_leaves_it_to_the_next(
    pushed: Pushed, pulled_once: str, registry_proxy: FaultProxy, start_puller: Any
) -> None:
    registry_proxy.inject(Fault(target=pushed.layers[0], stall_answer=10_000))
    first = start_puller(pulled_once)
    until(lambda: registry_proxy.count(pushed.layers[0]))
    second = start_puller(pulled_once)
    assert next_word(second) == OTHER
    first.kill()
    assert next_word(second) == "True"


@pytest.fixture
def stalled(pulled_once: str, registry_proxy: FaultProxy) -> str:
    """An image of which nothing comes after a while."""
    registry_proxy.inject(Fault(target="blobs", stall_answer=10_000, times=99))
    return pulled_once


@pytest.fixture
def runner(make_docker_config: Callable[..., Config]) -> Iterator[DockerRunner]:
    config = make_docker_config(policy=Policy(images=("**",)), containers=ContainersConfig(call_timeout=60))
    with DockerRunner(config) as runner:
        yield runner


def test_a_stop_by_another_process_ends_a_pull(
    runner: DockerRunner, make_bot: MakeBot, stalled: str, registry_proxy: FaultProxy
) -> None:
    results: list[ExecutionResult] = []
    bot = make_bot("def main(id, config): pass", image=stalled)
    thread = threading.Thread(target=lambda: results.append(runner.run(bot)))
    thread.start()
    until(lambda: is_pulling(registry_proxy))
    (record,) = Executions(runner.config.home_dir).list()
    Executions(runner.config.home_dir).request_stop(record.execution_id)
    thread.join()
    assert [result.outcome for result in results] == [Outcome.STOPPED]
    assert results[0].message == "it was stopped before its bot was started"


def test_a_stop_in_a_slow_pull_harms_no_other_that_wants_the_image(
    runner: DockerRunner,
    make_bot: MakeBot,
    pushed: Pushed,
    pulled_once: str,
    registry_proxy: FaultProxy,
    start_puller: Any,
) -> None:
    for layer in pushed.layers:
        registry_proxy.inject(Fault(target=layer, trickle=10.0))  # some minutes: who waits for its end is found out
    results: list[ExecutionResult] = []
    bot = make_bot("def main(id, config): pass", image=pulled_once)
    thread = threading.Thread(target=lambda: results.append(runner.run(bot)), daemon=True)
    thread.start()
    until(lambda: registry_proxy.left == 0)
    other = start_puller(pulled_once, runner.config.home_dir)
    assert next_word(other) == OTHER
    executions = Executions(runner.config.home_dir)
    (record,) = executions.list()
    executions.stop(record.execution_id, timeout=60)
    thread.join(60)
    assert [result.outcome for result in results] == [Outcome.STOPPED]
    assert results[0].error == "it was stopped before its bot was started"
    events = [event["event"] for event in executions.events(record.execution_id)]
    assert events[-1] == "finished"
    assert not {"created", "started"} & set(events)
    assert next_word(other) == "True"
    assert runner.list_managed_containers() == []


def test_a_runner_that_is_closed_ends_its_pull_and_leaves_nothing(
    runner: DockerRunner, make_bot: MakeBot, stalled: str, registry_proxy: FaultProxy
) -> None:
    said: list[str] = []

    def run() -> None:
        with pytest.raises(UserError) as caught:
            runner.run(make_bot("def main(id, config): pass", image=stalled))
        said.append(caught.value.message)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: is_pulling(registry_proxy))
    runner.close()
    thread.join()
    assert (said, Executions(runner.config.home_dir).list()) == (["this runner is closed"], [])


def test_a_task_that_is_cancelled_ends_its_pull_and_leaves_nothing(
    runner: DockerRunner, make_bot: MakeBot, stalled: str, registry_proxy: FaultProxy
) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(runner.arun(make_bot("def main(id, config): pass", image=stalled)))
        await asyncio.to_thread(until, lambda: is_pulling(registry_proxy))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(cancelled())
    assert Executions(runner.config.home_dir).list() == []


def test_ctrl_c_ends_a_pull_and_does_not_call_it_failed(
    runner: DockerRunner, stalled: str, registry_proxy: FaultProxy, tmp_path: Path, docker_host: str
) -> None:
    code = tmp_path / "bot"
    code.mkdir()
    (code / "main.py").write_text("def main(id, config): pass\n")
    settings: dict[str, Any] = {"policy.images": ["**"], "runtime.images": dict(runner.config.runtime.images)}
    options = [f"--set={name}={json.dumps(value).replace(': ', ' = ')}" for name, value in settings.items()]
    command = [sys.executable, "-m", "botdock_cli", "run", str(code), "--engine=docker", f"--image={stalled}", *options]
    environment = {**os.environ, "DOCKER_HOST": docker_host, "BOTDOCK_HOME": str(tmp_path / "cli")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        until(lambda: is_pulling(registry_proxy) or process.poll() is not None, timeout=60)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0].decode()
    assert (process.returncode, "image" in said.casefold()) == (130, False), said
    assert Executions(tmp_path / "cli").list() == []
