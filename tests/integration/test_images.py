"""Images that an execution or a manifest names, on a real Docker, and on an engine that has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import docker
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import ContainersConfig, Policy
from botdock.errors import CapabilityError, ImageError, PolicyError
from botdock.model import PullPolicy, new_execution_id

MakeBot = Callable[..., Executable]

VERSION = "import os\ndef main(id, config):\n    return os.environ.get('VERSION', 'own')"


@attrs.frozen
class Other:
    """An image that only this test knows: `VERSION` is `other` in it."""

    name: str
    id: str


@pytest.fixture
def other(make_docker_config: Callable[..., Config], docker_host: str) -> Iterator[Other]:
    name = f"botdock-other/python-{new_execution_id().lower()}:1"
    with closing(docker.DockerClient(base_url=docker_host)) as client:
        base = client.containers.create(make_docker_config().runtime.images["python311"])
        try:
            image = base.commit(changes="ENV VERSION=other")
        finally:
            base.remove()
        image.tag(name)
        yield Other(name, str(image.id))
        client.images.remove(name, force=True)


def allowing(*images: str, pull: PullPolicy = PullPolicy.MISSING) -> dict[str, Any]:
    return {"policy": Policy(images=images), "containers": ContainersConfig(pull=pull, call_timeout=60)}


def test_an_image_that_is_allowed_runs_and_its_digest_is_recorded(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, other: Other
) -> None:
    asking = {"bot.toml": f'image = "{other.name}"\n'}
    with DockerRunner(make_docker_config(**allowing("botdock-other/*"))) as runner:
        named = runner.run(make_bot(VERSION, image=other.name))
        by_manifest = runner.run(make_bot(VERSION, files=asking))
        own = runner.run(make_bot(VERSION))
    found = [(each.value, each.image, each.image_digest == other.id) for each in (named, by_manifest, own)]
    full = f"docker.io/{other.name}"
    assert found == [("other", full, True), ("other", full, True), ("own", own.image, False)]


def test_without_a_policy_neither_caller_nor_manifest_changes_the_image(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, other: Other
) -> None:
    config = make_docker_config()
    asking = {"bot.toml": f'image = "{other.name}"\n'}
    with DockerRunner(config) as runner:
        for bot in (make_bot(VERSION, image=other.name), make_bot(VERSION, files=asking)):
            with pytest.raises(PolicyError, match=r"policy\.images"):
                runner.run(bot)
        kept = runner.run(make_bot(VERSION, files=asking, image=config.runtime.images["python311"]))
    assert kept.value == "own"


def test_an_id_is_no_way_past_the_policy(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, other: Other
) -> None:
    short = other.id.removeprefix("sha256:")[:12]
    with DockerRunner(make_docker_config(**allowing("*", pull=PullPolicy.NEVER))) as runner:
        bot = make_bot(VERSION, image=short)
        with pytest.raises(ImageError) as caught:
            runner.run(bot)
    assert f"`docker pull docker.io/library/{short}:latest`" in str(caught.value.hint)


def test_another_image_than_the_pinned_one_is_not_run(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, other: Other
) -> None:
    pinned = f"{other.name}@sha256:{'0' * 64}"
    config = make_docker_config(**allowing("botdock-other/*", pull=PullPolicy.NEVER))
    bot = make_bot(VERSION, image=pinned)
    with DockerRunner(config) as runner, pytest.raises(ImageError, match="not there"):
        runner.run(bot)


def test_the_process_engine_refuses_an_image_by_name(make_bot: MakeBot, tmp_path: Path) -> None:
    config = Config(engine="process", home=str(tmp_path / "home"), policy=Policy(images=("**",)))
    with DockerRunner(config) as runner:
        with pytest.raises(CapabilityError, match=r"engine 'process' cannot run image 'python:3\.12'"):
            runner.run(make_bot(VERSION, image="python:3.12"))
        assert runner.run(make_bot(VERSION)).image == ""
