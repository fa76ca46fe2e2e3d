"""The engine contract, on a real Docker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from botdock.config import Config
from botdock.model import Engine
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings
from botdock_testing import EngineContract


@pytest.mark.docker
class TestDockerEngineKeepsTheContract(EngineContract):
    @pytest.fixture
    def engine(self, docker_host: str) -> Iterator[Engine]:
        engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=docker_host)}))
        yield engine
        engine.close()

    @pytest.fixture
    def basic_environment(self) -> frozenset[str]:
        return self.BASIC_ENVIRONMENT | {"TINI_KILL_PROCESS_GROUP"}

    @pytest.fixture
    def reopened(self, docker_host: str) -> Iterator[Engine]:
        engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=docker_host)}))
        yield engine
        engine.close()

    @pytest.fixture
    def image(self, bash_image: str) -> str:
        return bash_image

    @pytest.fixture
    def absent_image(self) -> str:
        return "botdock/no-such-image:0"
