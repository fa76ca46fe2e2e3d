"""Bots written inline, and a runner on a real Docker that must leave nothing behind."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import ContainersConfig, Policy, RuntimeConfig
from botdock.model import PullPolicy
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.settings import OciSettings
from testbed.console import TestbedError, run
from testbed.drills import FULL
from testbed.fixtures import shown, unavailable
from testbed.images import PATH
from testbed.registry import Registry
from testbed.rootfs import rootfs_tar

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


ENGINES = [pytest.param("docker", marks=pytest.mark.docker), "runc", "crun", *(["image", "folder"] if FULL else [])]
CLUSTER = [pytest.param("kubernetes", marks=pytest.mark.kubernetes)] if FULL else []


@pytest.fixture(params=ENGINES)
def isolating_runner(request: pytest.FixtureRequest) -> Iterator[DockerRunner]:
    """A runner on each engine that isolates, the oci engine with each of its runtimes; nothing may be left behind.

    In drills, the oci engine with each of its root file systems too, `host` being that of the others.
    """
    yield from _runner_of(request)


@pytest.fixture(params=[*ENGINES, *CLUSTER])
def attacked_runner(request: pytest.FixtureRequest) -> Iterator[DockerRunner]:
    """A runner on each engine that isolates, and in drills on Kubernetes; nothing may be left behind."""
    yield from _runner_of(request)


def _runner_of(request: pytest.FixtureRequest) -> Iterator[DockerRunner]:
    if request.param in {"runc", "crun"}:
        config: Config = request.getfixturevalue("make_oci_config")(request.param)
    else:
        config = request.getfixturevalue(f"{request.param}_config")
    with DockerRunner(config) as runner:
        yield runner
        assert left_behind(runner) == []


@pytest.fixture(scope="session")
def debian_image(registry: Registry) -> str:
    """An image of Debian with Python and bash in the registry of this worker's own."""
    pushed = registry.push("team/debian", tars=[rootfs_tar("python").read_bytes()], variables=[f"PATH={PATH}"])
    return pushed.at(registry.endpoint)


@pytest.fixture(scope="session")
def unpacked_images(debian_image: str, image_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the oci engine's images, with that one in it."""
    home = tmp_path_factory.mktemp("images")
    engine = OciEngine(home / "oci", OciSettings(rootfs="image"))
    engine.ensure_image(debian_image, policy=PullPolicy.MISSING, timeout=300)
    return home / "oci-images"


@pytest.fixture
def image_config(make_image_config: Callable[..., Config], debian_image: str, unpacked_images: Path) -> Config:
    """A configuration under which bots of the oci engine run on Debian's image, by runc."""
    images = dict.fromkeys(("python311", "bash"), debian_image)
    config = attrs.evolve(make_image_config(), runtime=RuntimeConfig(images=images, timeout=120.0))
    run(["cp", "-al", str(unpacked_images), str(config.home_dir)], timeout=120)  # unpacking takes longer
    return config


@pytest.fixture
def folder_config(make_oci_config: Callable[..., Config], unpacked_images: Path) -> Config:
    """A configuration under which bots of the oci engine run on a folder, by crun."""
    (folder,) = unpacked_images.glob("*/rootfs")
    config = make_oci_config("crun")
    return attrs.evolve(config, options={"oci": attrs.evolve(config.options["oci"], rootfs=str(folder))})


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
