"""The testbed as pytest fixtures; the root `conftest.py` loads them for every test of the repository.

With xdist the controller takes a slot for the session's daemon and stops it at the end; whichever worker needs Docker
first starts it there, and the others find it running.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from botdock.config import Config, RuntimeConfig
from botdock_engine_docker.settings import DockerSettings
from botdock_engine_oci.settings import OciSettings
from testbed.cache import locked
from testbed.console import TestbedError
from testbed.suites import wanted_suite

if TYPE_CHECKING:
    from testbed.daemon import PrivateDaemon
    from testbed.provision import Engine, Lease

_LEASE = pytest.StashKey["Lease"]()
_WORKER_FOLDER = "testbed_folder"


def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which slot its session has; called in the controller."""
    from testbed.provision import may_own_a_daemon

    if may_own_a_daemon():
        node.workerinput[_WORKER_FOLDER] = str(_session_lease(node.config).daemon.folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Docker, so that `-m "not docker"` leaves out just that."""
    for item in items:
        if {"docker_host", "drill_daemon", "foreign_daemon"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.docker)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the session's daemon, also after Ctrl-C."""
    lease = config.stash.get(_LEASE, None)
    if lease is not None:
        lease.give_back()
        del config.stash[_LEASE]


def _session_lease(config: pytest.Config) -> Lease:
    from testbed.provision import Lease

    if _LEASE not in config.stash:
        config.stash[_LEASE] = Lease()
    return config.stash[_LEASE]


def _session_daemon(config: pytest.Config) -> PrivateDaemon | None:
    from testbed.daemon import PrivateDaemon
    from testbed.provision import may_own_a_daemon

    folder = getattr(config, "workerinput", {}).get(_WORKER_FOLDER)
    if folder is not None:
        return PrivateDaemon(Path(folder))
    return _session_lease(config).daemon if may_own_a_daemon() else None


def shown(config: pytest.Config) -> AbstractContextManager[None]:
    """Let what the testbed says through pytest's capture."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if manager is None else manager.global_and_fixture_disabled()


def unavailable(error: TestbedError) -> NoReturn:
    """Skip where a user has no Docker; fail where skipping would hide that nothing was tested."""
    from testbed.provision import is_ci

    if is_ci():
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def _engine(pytestconfig: pytest.Config) -> Engine:
    from testbed.cache import cache_dir
    from testbed.provision import find_engine

    daemon = _session_daemon(pytestconfig)
    lock = cache_dir() / "start.lock" if daemon is None else daemon.folder / "start.lock"
    try:
        with shown(pytestconfig), locked(lock):
            return find_engine(daemon)
    except TestbedError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def docker_host(_engine: Engine) -> str:
    """Address of a Docker that answers, such as `unix:///run/.../docker.sock`."""
    return _engine.host


@pytest.fixture(scope="session")
def docker_daemon(_engine: Engine) -> PrivateDaemon | None:
    """The session's private daemon, shared by all tests, so not to be killed; None when it is the user's own."""
    return _engine.daemon


@pytest.fixture(scope="session")
def docker_images(docker_host: str, pytestconfig: pytest.Config) -> Mapping[str, str]:
    """Tags of the images that are there, by runtime."""
    return provide_images(docker_host, pytestconfig)


def provide_images(host: str, config: pytest.Config) -> Mapping[str, str]:
    """Make sure that a Docker has the images, and return their tags by runtime."""
    from testbed.cache import cache_dir
    from testbed.images import ensure_images

    try:
        with shown(config), locked(cache_dir() / "images.lock"):
            return ensure_images(host)
    except TestbedError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def python_image(docker_images: Mapping[str, str]) -> str:
    """An image with Python 3.11."""
    return docker_images["python311"]


@pytest.fixture(scope="session")
def node_image(docker_images: Mapping[str, str]) -> str:
    """An image with Node 20."""
    return docker_images["nodejs20"]


@pytest.fixture(scope="session")
def bash_image(docker_images: Mapping[str, str]) -> str:
    """An image with bash 5, and without Python."""
    return docker_images["bash"]


@pytest.fixture
def make_docker_config(docker_host: str, docker_images: Mapping[str, str], tmp_path: Path) -> Callable[..., Config]:
    """Return a function that makes configurations for the testbed; its arguments are those of `Config`."""

    def make(*, host: str = docker_host, **sections: Any) -> Config:
        runtime = RuntimeConfig(images=dict(docker_images), timeout=120.0)
        options = {"docker": DockerSettings(host=host), **sections.pop("options", {})}
        defaults = {"runtime": runtime, "home": str(tmp_path / "home")}
        return Config(engine="docker", options=options, **{**defaults, **sections})

    return make


@pytest.fixture
def make_mounted_config(
    request: pytest.FixtureRequest, make_docker_config: Callable[..., Config]
) -> Callable[..., Config]:
    """As `make_docker_config`; its daemon sees what was mounted before the first call."""

    @cache
    def host() -> str:
        if not wanted_suite():
            return str(request.getfixturevalue("docker_host"))
        daemon: PrivateDaemon = request.getfixturevalue("drill_daemon")
        daemon.restart()  # in a new mount namespace, a copy of ours
        return daemon.host

    return lambda **sections: make_docker_config(host=host(), **sections)


@pytest.fixture
def docker_config(make_docker_config: Callable[..., Config]) -> Config:
    """A configuration for the testbed, with a state folder of the test's own."""
    return make_docker_config()


@pytest.fixture
def make_oci_config(pytestconfig: pytest.Config, tmp_path: Path) -> Callable[..., Config]:
    """Return a function that makes configurations of the oci engine; its arguments are a runtime, and `Config`'s."""
    from botdock_engine_oci.probing import cache_of
    from testbed.cache import cache_dir
    from testbed.oci import ensure_runtime, try_runtime

    def make(runtime: str = "runc", **sections: Any) -> Config:
        try:
            with shown(pytestconfig), locked(cache_dir() / "oci.lock"):
                path = ensure_runtime(runtime)
                tried = try_runtime(path)
        except TestbedError as error:
            unavailable(error)
        defaults = {"runtime": RuntimeConfig(timeout=120.0), "home": str(tmp_path / "home")}
        config = Config(engine="oci", options={"oci": OciSettings(runtime=path)}, **{**defaults, **sections})
        config.home_dir.mkdir(exist_ok=True)
        shutil.copy(tried, cache_of(config.home_dir / "oci"))
        return config

    return make


@pytest.fixture
def oci_config(make_oci_config: Callable[..., Config]) -> Config:
    """A configuration of the oci engine, with a state folder of the test's own."""
    return make_oci_config()


@pytest.fixture(scope="module")
def drill_daemon(pytestconfig: pytest.Config) -> Iterator[PrivateDaemon]:
    """A private daemon, with the images, that a module may kill and restart: no other test uses it."""
    from testbed.provision import Lease, may_own_a_daemon

    if not may_own_a_daemon():
        pytest.skip("restart drill: it kills the Docker daemon, so it needs one of its own, which only root can start")
    lease = Lease()
    try:
        with shown(pytestconfig):
            lease.daemon.start()
        provide_images(lease.daemon.host, pytestconfig)
        yield lease.daemon
    except TestbedError as error:
        unavailable(error)
    finally:
        lease.give_back()


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """A newcomer's environment: without what CI, pytest or this shell have set for Python, Docker and botdock."""
    unwanted = ("PYTHON", "DOCKER_", "BOTDOCK_", "COVERAGE", "COV_", "PYTEST_", "VIRTUAL_ENV", "MINIO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
