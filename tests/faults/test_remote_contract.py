"""The engine contract, on a Docker that sees none of our files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from botdock import Config
from botdock.errors import ContainerError
from botdock.model import Engine
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings
from botdock_testing import EngineContract
from testbed.foreign import ForeignDaemon
from testbed.sshd import PrivateSshd


def opened(settings: DockerSettings) -> Iterator[Engine]:
    engine = DockerEngine.from_config(Config(options={"docker": settings}))
    yield engine
    engine.close()


class RemoteContract(EngineContract):
    """What is the same however the daemon is reached, which the fixture `settings` says."""

    @pytest.fixture
    def engine(self, settings: DockerSettings) -> Iterator[Engine]:
        yield from opened(settings)

    @pytest.fixture
    def reopened(self, settings: DockerSettings) -> Iterator[Engine]:
        yield from opened(settings)

    @pytest.fixture
    def basic_environment(self) -> frozenset[str]:
        return self.BASIC_ENVIRONMENT | {"TINI_KILL_PROCESS_GROUP"}

    @pytest.fixture
    def image(self, foreign_images: Mapping[str, str]) -> str:
        return foreign_images["bash"]

    @pytest.fixture
    def absent_image(self) -> str:
        return "botdock/no-such-image:0"


@pytest.mark.sampled(10)
class TestDockerBehindTlsKeepsTheContract(RemoteContract):
    @pytest.fixture
    def settings(self, foreign_daemon: ForeignDaemon) -> DockerSettings:
        return DockerSettings(host=foreign_daemon.url, tls_verify=True, cert_path=str(foreign_daemon.certificates))


@pytest.mark.sampled(10)
class TestDockerBehindSshKeepsTheContract(RemoteContract):
    @pytest.fixture
    def settings(self, over_ssh: PrivateSshd) -> DockerSettings:
        return DockerSettings(host=over_ssh.url)


@pytest.mark.sampled(10)
class TestDockerBehindASocketThatLeadsElsewhereKeepsTheContract(RemoteContract):
    @pytest.fixture
    def settings(self, foreign_daemon: ForeignDaemon) -> DockerSettings:
        return DockerSettings(host=foreign_daemon.host)

    @pytest.mark.xfail(
        raises=ContainerError, reason="that a FIFO is not seen elsewhere is known with the first container"
    )
    def test_what_waits_on_a_fifo_sees_what_is_written_after_its_start(self, engine: Engine, make_spec: Any) -> None:
        super().test_what_waits_on_a_fifo_sees_what_is_written_after_its_start(engine, make_spec)

    def test_the_first_that_waits_on_a_fifo_is_refused_and_no_other_is_to_wait(
        self, engine: Engine, make_spec: Any
    ) -> None:
        spec = make_spec()
        os.mkfifo(Path(spec.run.context, "ready"))
        with pytest.raises(ContainerError, match="cannot deliver"):
            engine.create(*spec, timeout=60.0)
        assert not engine.prepare(spec.template, 1, timeout=60.0)
