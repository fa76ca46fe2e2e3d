from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from botdock.config import Config
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend
from botdock_testing import StorageContract
from testbed.minio import MinioServer

MIB = 1024 * 1024


class TestMinIO(StorageContract):
    nests_keys = False
    memory = 36 * MIB  # two parts of 8 MiB on their way, one that is being read, and what holds the pieces of it

    @pytest.fixture
    def backend(self, minio_server: MinioServer, make_minio_config: Callable[..., Config]) -> Iterator[MinIOBackend]:
        backend = MinIOBackend.from_config(make_minio_config(minio_server), StorageArea.CODE)
        yield backend
        backend.close()


class TestMinIOBelowAPrefix(StorageContract):
    nests_keys = False
    memory = 24 * MIB
    max_key_bytes = 1024 - len("team-é/deep/logs/".encode())
    examples = 3

    @pytest.fixture
    def backend(self, minio_server: MinioServer, make_minio_config: Callable[..., Config]) -> Iterator[MinIOBackend]:
        mine = make_minio_config(minio_server)
        config = make_minio_config(
            minio_server, bucket_name=mine.options["minio"].code_bucket, prefix="team-é/deep", part_size=5 * MIB
        )
        backend = MinIOBackend.from_config(config, StorageArea.LOGS)
        yield backend
        backend.close()
