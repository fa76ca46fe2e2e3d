"""The engine contract, on a Docker that sees none of our files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from botdock import Config
from botdock.model import Engine
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings
from botdock_testing import EngineContract
from testbed.foreign import ForeignDaemon


def remote(daemon: ForeignDaemon) -> DockerSettings:
    return DockerSettings(host=daemon.url, tls_verify=True, cert_path=str(daemon.certificates))


@pytest.mark.sampled(6)
class TestDockerBehindTlsKeepsTheContract(EngineContract):
    @pytest.fixture
    def engine(self, foreign_daemon: ForeignDaemon) -> Iterator[Engine]:
        engine = DockerEngine.from_config(Config(options={"docker": remote(foreign_daemon)}))
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, foreign_daemon: ForeignDaemon) -> Iterator[Engine]:
        engine = DockerEngine.from_config(Config(options={"docker": remote(foreign_daemon)}))
        yield engine
        engine.close()

    @pytest.fixture
    def basic_environment(self) -> frozenset[str]:
        return self.BASIC_ENVIRONMENT | {"TINI_KILL_PROCESS_GROUP"}

    @pytest.fixture
    def image(self, foreign_images: Mapping[str, str]) -> str:
        return foreign_images["bash"]

    @pytest.fixture
    def absent_image(self) -> str:
        return "botdock/no-such-image:0"
