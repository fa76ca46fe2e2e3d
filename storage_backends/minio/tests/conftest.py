"""Storages on the testbed's MinIO, with and without a proxy that does harm before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from botdock.config import Config
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend
from testbed.minio import MinioServer
from testbed.proxy import FaultProxy

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for a moment only before asking again."""
    monkeypatch.setattr("botdock_storage_minio.client._FIRST_PAUSE", 0.001)


@pytest.fixture
def open_backend(
    minio_server: MinioServer, make_minio_config: Callable[..., Config]
) -> Iterator[Callable[..., MinIOBackend]]:
    """Returns a function that opens a storage with buckets of its own; its arguments are fields of `MinIOSettings`.

    Its `server` is the one that all tests share, unless another is given.
    """
    with ExitStack() as stack:

        def open_one(
            *, server: MinioServer | None = None, area: StorageArea = StorageArea.CODE, **fields: Any
        ) -> MinIOBackend:
            config = make_minio_config(server or minio_server, **{"part_size": 5 * MIB, **fields})
            backend = MinIOBackend.from_config(config, area)
            stack.callback(backend.close)
            return backend

        yield open_one


@pytest.fixture
def backend(open_backend: Callable[..., MinIOBackend]) -> MinIOBackend:
    """A storage with a bucket of its own, which is not there yet."""
    return open_backend()


@pytest.fixture
def proxy(minio_server: MinioServer) -> Iterator[FaultProxy]:
    """A proxy before the server."""
    proxy = FaultProxy(minio_server.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(open_backend: Callable[..., MinIOBackend], proxy: FaultProxy) -> MinIOBackend:
    """A storage behind the proxy; its bucket is there, and was asked for before."""
    backend = open_backend(endpoint=proxy.endpoint)
    backend._client.make_own_bucket()
    proxy.seen.clear()
    return backend
