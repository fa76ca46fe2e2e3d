"""What botdock finds when it looks for plugins, and what `botdock doctor` is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import attrs
import pytest

from botdock import Check, CheckStatus, StorageBackendPlugin
from botdock.config import Config
from botdock.errors import ConfigError
from botdock.model import StorageArea
from botdock_storage_minio import plugin
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.settings import MinIOSettings
from testbed.minio import MinioServer


@pytest.fixture
def found() -> StorageBackendPlugin:
    (found,) = plugin.botdock_storage_backends()
    return found


def test_its_name_is_the_one_of_the_configuration(found: StorageBackendPlugin) -> None:
    assert found.name == "minio"


def test_discovery_imports_nothing_that_is_slow() -> None:
    program = (
        "import sys, botdock_storage_minio.plugin as plugin; list(plugin.botdock_storage_backends()); "
        "sys.exit(sorted({'minio', 'urllib3', 'certifi'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_factory_sends_no_request(found: StorageBackendPlugin) -> None:
    config = Config(options={"minio": MinIOSettings(endpoint="no-such-host.invalid:1")})
    backend = found.factory(config, StorageArea.CODE)
    assert isinstance(backend, MinIOBackend)
    backend.close()


def test_the_factory_refuses_a_wrong_section(found: StorageBackendPlugin) -> None:
    with pytest.raises(ConfigError, match=r"minio\.endpoint: must be set"):
        found.factory(Config(), StorageArea.CODE)


class TestChecks:
    @staticmethod
    def run(found: StorageBackendPlugin, config: Config) -> dict[str, Check]:
        return {check.name: check for check in found.checks(config)}

    def test_there_are_none_where_it_is_not_used(self, found: StorageBackendPlugin) -> None:
        assert self.run(found, Config()) == {}

    def test_using_it_without_saying_where_it_is(self, found: StorageBackendPlugin) -> None:
        (check,) = self.run(found, Config(storage="minio")).values()
        assert (check.name, check.status) == ("minio.settings", CheckStatus.FAILED)
        assert "minio.endpoint: must be set" in check.detail

    def test_all_is_well(
        self, found: StorageBackendPlugin, minio_server: MinioServer, make_minio_config: Callable[..., Config]
    ) -> None:
        config = make_minio_config(minio_server)
        backend = MinIOBackend.from_config(config, StorageArea.CODE)
        backend._client.make_own_bucket()
        backend.close()
        checks = self.run(found, config)
        assert {check.status for check in checks.values()} == {CheckStatus.OK}
        assert checks["minio.access"].detail == f"http://{minio_server.endpoint} answers and takes the key"
        assert checks[f"minio.bucket.{config.options['minio'].code_bucket}"].detail == "there"
        assert "the first object makes it" in checks[f"minio.bucket.{config.options['minio'].logs_bucket}"].detail

    def test_buckets_that_are_not_made(
        self, found: StorageBackendPlugin, minio_server: MinioServer, make_minio_config: Callable[..., Config]
    ) -> None:
        config = make_minio_config(minio_server, bucket_name="absent-bucket", create_buckets=False)
        checks = self.run(found, config)
        assert checks["minio.bucket.absent-bucket"].status is CheckStatus.FAILED
        assert checks["minio.bucket.absent-bucket"].remedy == "mc mb ALIAS/absent-bucket"

    def test_a_wrong_key(
        self, found: StorageBackendPlugin, minio_server: MinioServer, make_minio_config: Callable[..., Config]
    ) -> None:
        (check,) = self.run(found, make_minio_config(minio_server, secret_key="wrong-for-sure")).values()
        assert (check.name, check.status) == ("minio.access", CheckStatus.FAILED)
        assert "wrong-for-sure" not in repr(check)
        assert "minio.secret_key" in check.remedy

    def test_nothing_listens(
        self, found: StorageBackendPlugin, minio_server: MinioServer, make_minio_config: Callable[..., Config]
    ) -> None:
        config = make_minio_config(minio_server)
        config = attrs.evolve(config, options={"minio": attrs.evolve(config.options["minio"], endpoint="127.0.0.1:1")})
        (check,) = self.run(found, config).values()
        assert (check.name, check.status) == ("minio.endpoint", CheckStatus.FAILED)
        assert "Start it" in check.remedy

    def test_a_certificate_that_cannot_be_read(
        self, found: StorageBackendPlugin, minio_server: MinioServer, make_minio_config: Callable[..., Config]
    ) -> None:
        (check,) = self.run(found, make_minio_config(minio_server, use_ssl=True, cert_file=__file__)).values()
        assert (check.name, check.status) == ("minio.settings", CheckStatus.FAILED)
