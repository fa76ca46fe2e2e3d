"""Images that a real Docker removes, and those that it keeps."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from botdock.config import Config
from botdock.config.sections import ContainersConfig
from botdock.errors import ContainerError
from botdock.factory import ServiceFactory
from botdock.model import ImageInfo, PullPolicy, new_execution_id
from botdock.plugin_manager import PluginManager
from botdock.services.container import ContainerService
from botdock.services.pulled_images import PulledImages

pytestmark = pytest.mark.docker

CALL = 60.0


@pytest.fixture
def client(docker_host: str) -> Iterator[Any]:
    with closing(docker.APIClient(base_url=docker_host, version="auto", timeout=60)) as client:
        yield client


@pytest.fixture
def make_image(client: Any) -> Iterator[Callable[..., tuple[str, str]]]:
    """Return a function that makes a small image, and returns its name and id; all go afterwards."""
    made: list[str] = []

    def make(name: str = "") -> tuple[str, str]:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            content = os.urandom(100_000)
            entry = tarfile.TarInfo("data")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        name = name or f"botdock-test/{new_execution_id()}:1"
        client.import_image_from_data(tar.getvalue(), repository=name.split(":")[0], tag="1")
        identity = client.inspect_image(name)["Id"]
        made.extend((name, identity))
        return name, identity

    yield make
    for name in made:
        with suppress(docker.errors.NotFound):
            client.remove_image(name, force=True)


class Keeper:
    """A container service that has pulled what it is told of, long ago."""

    def __init__(self, lab: Any, home: Path) -> None:
        self.engine = lab.engine
        self.images = PulledImages(home)
        self.service = ContainerService(lab.engine, ContainersConfig(), home=home)
        self._home = home

    def pulled(self, name: str, identity: str) -> None:
        self.images.add("docker", ImageInfo(reference=name, id=identity, digest=identity))
        for path in (self._home / "images").glob("*.json"):
            os.utime(path, (1, 1))

    def there(self, name: str) -> bool:
        with suppress(ContainerError):
            return bool(self.engine.ensure_image(name, policy=PullPolicy.NEVER, timeout=CALL))
        return False

    def removed(self, *, dry_run: bool = False) -> list[tuple[str, bool]]:
        """Return the names of what went, and whether bytes went with it."""
        return [(image.reference, size > 0) for image, size in self.service.remove_images(3600, dry_run=dry_run)]


@pytest.fixture
def keeper(bash_lab: Any, tmp_path: Path) -> Keeper:
    return Keeper(bash_lab, tmp_path / "home")


def test_what_was_pulled_goes_and_what_was_not_stays(keeper: Keeper, make_image: Any) -> None:
    (old, identity), (foreign, _) = make_image(), make_image()
    keeper.pulled(old, identity)
    assert keeper.removed(dry_run=True) == [(old, True)]
    assert keeper.there(old)
    assert keeper.removed() == [(old, True)]
    assert (keeper.there(old), keeper.there(foreign), keeper.images.all()) == (False, True, [])


def test_what_a_container_uses_stays_until_that_is_gone(keeper: Keeper, make_image: Any, client: Any) -> None:
    name, identity = make_image()
    keeper.pulled(name, identity)
    container = client.create_container(name, ["/nothing"])["Id"]
    assert keeper.removed(dry_run=True) == keeper.removed() == []
    assert keeper.there(name)
    client.remove_container(container)
    assert keeper.removed() == [(name, True)]


def test_the_users_own_name_of_the_same_image_keeps_it(keeper: Keeper, make_image: Any, client: Any) -> None:
    name, identity = make_image()
    client.tag(name, "botdock-test/users-own", tag=(tag := new_execution_id()))
    keeper.pulled(name, identity)
    assert keeper.removed() == [(name, False)]
    assert (keeper.there(name), keeper.there(f"botdock-test/users-own:{tag}")) == (False, True)


def test_of_a_name_that_has_moved_on_only_what_was_pulled_goes(keeper: Keeper, make_image: Any, client: Any) -> None:
    name, identity = make_image()
    _, newer = make_image(name)
    keeper.pulled(name, identity)
    assert keeper.removed() == [(name, True)]
    assert (keeper.there(identity), client.inspect_image(name)["Id"]) == (False, newer)
    name, identity = make_image()
    client.tag(name, "botdock-test/users-own", tag=new_execution_id())
    make_image(name)
    keeper.pulled(name, identity)
    assert keeper.removed() == [], "another name leads to it"
    assert keeper.there(identity)


def test_gc_finds_the_engine_of_each_image(
    keeper: Keeper, make_image: Any, make_docker_config: Callable[..., Config]
) -> None:
    name, identity = make_image()
    keeper.pulled(name, identity)
    factory = ServiceFactory(make_docker_config(), PluginManager.load())
    (removed,) = factory.remove_old(executions={}, caches=None, images=3600.0)
    assert (removed.kind, removed.name, keeper.there(name)) == ("image", name, False)
