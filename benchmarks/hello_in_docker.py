"""How much botdock adds to a container: a whole run of hello, the bare API calls of the same container, `docker run`.

All three in turn, in one process, on the same daemon; what is printed is the median of each and the ratios.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import docker  # noqa: E402 - after the path of the testbed

from botdock import Config, DockerRunner, Executable, PluginManager  # noqa: E402 - after the path of the testbed
from botdock.model import ContainerHandle, ContainerRun, ContainerTemplate, new_execution_id  # noqa: E402 - after the path of the testbed
from botdock_engine_docker.engine import DockerEngine  # noqa: E402 - after the path of the testbed
from botdock_engine_docker.profile import Tuning, create_request  # noqa: E402 - after the path of the testbed
from botdock_engine_docker.results import name_user  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - after the path of the testbed
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - after the path of the testbed

ROUNDS = 30
USER = 65532


def main() -> None:
    lease = Lease() if may_own_a_daemon() else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            compare(find_engine(lease.daemon if lease else None).host, Path(folder))
    finally:
        if lease:
            lease.give_back()


def compare(host: str, folder: Path) -> None:
    image = ensure_images(host)["python311"]
    settings = {
        "engine": "docker",
        "home": str(folder / "home"),
        "docker": {"host": host},
        "runtime": {"images": {"python311": image}},
    }
    config = Config.load(environ={}, overrides=settings)
    hello = Executable(id="hello", runtime="python3.11", file_path=str(ROOT / "examples/hello-python"))
    with DockerRunner(config, plugins=PluginManager.load(config.plugins)) as runner:
        asked = keep_asked(runner, hello, folder / "kept")
        bare = bare_run(host, *asked)
        ways: dict[str, Callable[[], None]] = {
            "botdock": lambda: check(runner.run(hello)),
            "bare API calls": bare,
            "docker run": docker_run(host, *asked),
        }
        report(measure({name: way for name, way in ways.items() if way}))


def check(result: Any) -> None:
    assert result.succeeded, result.error


def keep_asked(runner: DockerRunner, hello: Executable, kept: Path) -> tuple[ContainerTemplate, ContainerRun]:
    """Run once, and return the container that botdock asked for, over a copy of its workspace."""
    asked: list[tuple[ContainerTemplate, ContainerRun]] = []
    create = DockerEngine.create

    def keep(self: DockerEngine, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        shutil.copytree(Path(run.context).parent, kept)
        asked.append((template, run))
        return create(self, template, run, timeout=timeout)

    DockerEngine.create = keep  # type: ignore[method-assign] # undone below
    try:
        check(runner.run(hello))
    finally:
        DockerEngine.create = create  # type: ignore[method-assign] # as it was
    ((template, run),) = asked
    (kept / "result").chmod(0o666)
    name_user(str(kept / "context"), USER)
    return template, attrs.evolve(run, **{name: str(kept / name) for name in ("code", "context", "result")})


def bare_run(host: str, template: ContainerTemplate, asked: ContainerRun) -> Callable[[], None]:
    """Return a function that does what any runner must: create, attach, start, wait, remove; and nothing else."""
    client = docker.APIClient(base_url=host, num_pools=200, timeout=600)
    config = Config.load(environ={}, overrides={"docker": {"host": host}})
    machine = DockerEngine.from_config(config).probe().machine
    body = create_request(template, asked, user=USER, machine=machine, tuning=Tuning())

    def run() -> None:
        name = f"bare-{new_execution_id()}"
        container = client.create_container_from_config(body, name=name)["Id"]
        socket = client.attach_socket(container, params={"stdout": 1, "stderr": 1, "stream": 1})
        client.start(container)
        assert client.wait(container)["StatusCode"] == 0
        socket.close()
        client.remove_container(container)

    return run


def docker_run(host: str, template: ContainerTemplate, asked: ContainerRun) -> Callable[[], None] | None:
    """Return a function that runs the same container by Docker's own command line, if there is one."""
    if not shutil.which("docker"):
        return None
    limits = template.limits
    shown = {
        template.code_target: asked.code,
        template.program_target: template.program,
        template.context_target: asked.context,
    }
    mounts = [f"--mount=type=bind,source={source},target={target},readonly" for target, source in shown.items()]
    mounts.append(f"--mount=type=bind,source={asked.result},target={template.result_target}")
    command = [
        "docker", "run", "--rm", "--init", "--network=none", "--read-only", "--cap-drop=ALL", f"--user={USER}:{USER}",
        "--security-opt=no-new-privileges", f"--memory={limits.memory}", f"--memory-swap={limits.memory}",
        f"--cpus={limits.cpus}", f"--pids-limit={limits.pids}", "--tmpfs=/tmp", "--env=HOME=/tmp", "--log-driver=local",
        *mounts, f"--workdir={template.code_target}", "--entrypoint=/bin/sh", template.image, *template.command[1:],
        template.context_target,
    ]  # fmt: skip

    def run() -> None:
        environment = {**os.environ, "DOCKER_HOST": host}
        subprocess.run(command, env=environment, check=True, capture_output=True)

    return run


def measure(ways: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    own = seconds["botdock"]
    for name, values in seconds.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(own, values, strict=True))
        print(
            f"{name:15} median {statistics.median(values) * 1000:6.1f} ms"
            f"  min {min(values) * 1000:6.1f}  max {max(values) * 1000:6.1f}  botdock is {ratio:.3f} times that"
        )
    print(json.dumps({name: round(statistics.median(values), 4) for name, values in seconds.items()}))


if __name__ == "__main__":
    main()
