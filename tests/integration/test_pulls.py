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
from botdock.executions import Executions
from botdock.model import ExecutionResult, Outcome
from botdock.services.pulled_images import PulledImages
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


@pytest.fixture
def pulled_once(registry: Registry, registry_proxy: FaultProxy, make_image: Callable[..., Pushed]) -> str:
    return make_image(registry).at(registry_proxy.endpoint)


def test_processes_that_want_an_image_at_once_share_one_pull(
    pulled_once: str, registry_proxy: FaultProxy, docker_host: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "DOCKER_HOST": docker_host}
    command = [sys.executable, "-c", PULLER, str(tmp_path), pulled_once]
    with PulledImages(tmp_path).turn("docker", pulled_once) as turn:  # until all of them wait
        assert turn is not None
        processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        waiting = [process.stdout.readline().strip() for process in processes if process.stdout is not None]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert waiting == ["another runner pulls it"] * 2
    assert sorted(lines[-1] for lines in said) == ["False", "True"]
    assert registry_proxy.count("GET /v2/.*/manifests") == 1
    assert [image.reference for image in PulledImages(tmp_path).all("docker")] == [pulled_once]


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


def is_pulling(proxy: FaultProxy) -> bool:
    return proxy.count("/blobs/") > 0


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
