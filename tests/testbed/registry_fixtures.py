"""Registries of images as pytest fixtures, with a proxy that lets their answers fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from botdock.model import new_execution_id
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.proxy import FaultProxy
from testbed.registry import PASSWORD, USER, Pushed, Registry
from testbed.token_server import TokenServer

Push = Callable[..., Pushed]


def _serve(
    factory: pytest.TempPathFactory, config: pytest.Config, *, private: bool = False, tokens: TokenServer | None = None
) -> Iterator[Registry]:
    registry = Registry(factory.mktemp("registry"), private=private, tokens=tokens)
    try:
        with shown(config):
            registry.start()
    except TestbedError as error:
        unavailable(error)
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Registry]:
    """A registry that lets everyone in, of this worker's own."""
    yield from _serve(tmp_path_factory, pytestconfig)


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Registry]:
    """A registry that wants a password, of this worker's own."""
    yield from _serve(tmp_path_factory, pytestconfig, private=True)


@pytest.fixture(scope="session")
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """Who gives tokens for `token_registry` to those with its password."""
    server = TokenServer(tmp_path_factory.mktemp("tokens"), f"{USER}:{PASSWORD}")
    yield server
    server.close()


@pytest.fixture(scope="session")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, token_server: TokenServer
) -> Iterator[Registry]:
    """A registry that wants a bearer token, as public ones do, of this worker's own."""
    yield from _serve(tmp_path_factory, pytestconfig, tokens=token_server)


@pytest.fixture
def registry_proxy(registry: Registry) -> Iterator[FaultProxy]:
    """A proxy before the registry, which lets through what no fault is injected for."""
    proxy = FaultProxy(registry.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def make_image(docker_daemon: object, docker_host: str) -> Iterator[Push]:
    """Return a function that pushes an image of the test's own to a registry; what the daemon has of it goes."""
    if docker_daemon is None:
        pytest.skip("pulling from a registry of our own: this Docker may run on a machine that does not reach ours")
    pushed: list[Pushed] = []

    def push(registry: Registry, **fields: object) -> Pushed:
        pushed.append(registry.push(f"bots-{new_execution_id().lower()}", **fields))  # type: ignore[arg-type] # those of `push`
        return pushed[-1]

    yield push
    import docker  # here, as every session of pytest loads this module
    import docker.errors

    names = tuple(image.name for image in pushed)
    with closing(docker.APIClient(base_url=docker_host, version="auto")) as client:
        for image in client.images(all=True):
            if any(name in text for name in names for text in image["RepoDigests"] or ()):
                with suppress(docker.errors.ImageNotFound):
                    client.remove_image(image["Id"], force=True)
