"""Bots written inline, and a runner on a real Docker that must leave nothing behind."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import ContainersConfig, Policy
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable

MakeBot = Callable[..., Executable]

SCRIPTS = {"python311": "main.py", "nodejs20": "main.js", "bash": "main.sh"}


@pytest.fixture
def make_bot(tmp_path: Path) -> MakeBot:
    """Return a function that writes a bot and returns its executable: `make_bot(source, runtime=..., files=...)`."""

    def make(
        source: str, *, runtime: str = "python311", files: dict[str, str] | None = None, **fields: Any
    ) -> Executable:
        tree = tmp_path / f"code-{len(list(tmp_path.glob('code-*')))}"
        tree.mkdir()
        script = fields.pop("script", SCRIPTS[runtime])
        for name, text in {script: source, **(files or {})}.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        kind = fields.get("entrypoint", "bot")
        defaults = {"id": "probe", "timeout": 60.0, "entrypoint_files": {kind: script}}
        return Executable(runtime=runtime, file_path=str(tree), **{**defaults, **fields})

    return make


@pytest.fixture
def runner(docker_config: Config) -> Iterator[DockerRunner]:
    """A runner on a real Docker; afterwards no container and no workspace of it may be left."""
    with DockerRunner(docker_config) as runner:
        yield runner
        assert left_behind(runner) == []


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "oci"])
def contained_runner(request: pytest.FixtureRequest) -> Iterator[DockerRunner]:
    """A runner on each engine of containers; nothing may be left behind."""
    with DockerRunner(request.getfixturevalue(f"{request.param}_config")) as runner:
        yield runner
        assert left_behind(runner) == []


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "runc", "crun"])
def isolating_runner(request: pytest.FixtureRequest) -> Iterator[DockerRunner]:
    """A runner on each engine that isolates, the oci engine with each of its runtimes; nothing may be left behind."""
    if request.param == "docker":
        config: Config = request.getfixturevalue("docker_config")
    else:
        config = request.getfixturevalue("make_oci_config")(request.param)
    with DockerRunner(config) as runner:
        yield runner
        assert left_behind(runner) == []


@pytest.fixture(scope="session")
def image_tools(pytestconfig: pytest.Config) -> None:
    """What the oci engine fetches and unpacks images with."""
    from testbed.oci import ensure_image_tools

    try:
        with shown(pytestconfig):
            ensure_image_tools()
    except TestbedError as error:
        unavailable(error)


@pytest.fixture
def make_image_config(make_oci_config: Callable[..., Config], image_tools: None) -> Callable[..., Config]:
    """Return a function that makes configurations of the oci engine under which bots run on images."""

    def make(runtime: str = "runc", **sections: Any) -> Config:
        containers = ContainersConfig(call_timeout=60, retries=0)
        config = make_oci_config(runtime, policy=Policy(images=("**",)), containers=containers, **sections)
        return attrs.evolve(config, options={"oci": attrs.evolve(config.options["oci"], rootfs="image")})

    return make


def left_behind(runner: DockerRunner) -> list[str]:
    """Return what is left of executions: names of containers and workspaces."""
    containers = [container.name for container in runner.list_managed_containers()]
    return containers + [str(path) for path in runner.config.home_dir.glob("executions/*/workspace")]
