"""The MinIO server as pytest fixtures.

As with Docker: the controller takes a slot for the session's server and deletes it at the end; whichever worker needs
it first starts it there, and the others find it running.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import Config
from botdock_storage_minio.settings import MinIOSettings
from testbed.cache import Slot, locked
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.minio import MinioServer

_LEASE = pytest.StashKey["MinioLease"]()
_WORKER_FOLDER = "testbed_minio_folder"
_FIXTURES = {"minio_server", "drill_minio", "start_minio"}


class MinioLease:
    """A server in a slot of the cache, ours until it is given back."""

    def __init__(self) -> None:
        self.slot = Slot("minio")
        self.server = MinioServer(self.slot.path)
        self.server.delete()  # what a session left here that was killed itself

    def give_back(self) -> None:
        """Delete the server with its data."""
        self.server.delete()
        self.slot.free()


def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which slot its session has; called in the controller."""
    node.workerinput[_WORKER_FOLDER] = str(_session_lease(node.config).server.folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs MinIO, so that `-m "not minio"` leaves out just that."""
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.minio)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete the session's server, also after Ctrl-C."""
    lease = config.stash.get(_LEASE, None)
    if lease is not None:
        lease.give_back()
        del config.stash[_LEASE]


def _session_lease(config: pytest.Config) -> MinioLease:
    if _LEASE not in config.stash:
        config.stash[_LEASE] = MinioLease()
    return config.stash[_LEASE]


def _started(server: MinioServer, config: pytest.Config) -> MinioServer:
    try:
        with shown(config), locked(server.folder / "start.lock"):
            server.start()
    except TestbedError as error:
        unavailable(error)
    return server


@pytest.fixture(scope="session")
def minio_server(pytestconfig: pytest.Config) -> MinioServer:
    """A MinIO server, shared by all tests, so not to be killed; `make_minio_config` gives a test buckets of its own."""
    folder = getattr(pytestconfig, "workerinput", {}).get(_WORKER_FOLDER)
    server = _session_lease(pytestconfig).server if folder is None else MinioServer(Path(folder))
    return _started(server, pytestconfig)


@pytest.fixture
def start_minio(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Callable[..., MinioServer]]:
    """Return a function that starts a server for this test alone; its arguments are those of `MinioServer`."""
    servers: list[MinioServer] = []

    def start(**arguments: Any) -> MinioServer:
        folder = tmp_path / f"minio-{len(servers)}"
        folder.mkdir()
        servers.append(MinioServer(folder, **arguments))
        return _started(servers[-1], pytestconfig)

    yield start
    for server in servers:
        server.delete()


@pytest.fixture
def drill_minio(start_minio: Callable[..., MinioServer]) -> MinioServer:
    """A server that this test may kill and restart: no other test uses it."""
    return start_minio()


@pytest.fixture
def make_minio_config(tmp_path: Path) -> Callable[..., Config]:
    """Return a function from a server, and fields of `MinIOSettings`, to a configuration with buckets of its own."""

    def make(server: MinioServer, **fields: Any) -> Config:
        mark = secrets.token_hex(6)
        minio = MinIOSettings(
            endpoint=server.endpoint,
            access_key=server.access_key,
            secret_key=server.secret_key,
            use_ssl=server.tls,
            cert_file=server.cert_file,
            code_bucket=f"code-{mark}",
            results_bucket=f"results-{mark}",
            logs_bucket=f"logs-{mark}",
        )
        return Config(storage="minio", home=str(tmp_path / "home"), options={"minio": attrs.evolve(minio, **fields)})

    return make
