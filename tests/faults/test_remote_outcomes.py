"""Each outcome, on a Docker that sees none of our files; the same tests as on one that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner
from botdock.config import RuntimeConfig
from botdock_engine_docker.settings import DockerSettings
from integration import test_outcomes
from integration.conftest import make_bot, runner
from testbed.foreign import ForeignDaemon

__all__ = ["make_bot", "runner"]

pytestmark = pytest.mark.sampled(5)

OF_LOCAL_FILES = {"test_a_lost_result_is_not_a_success"}
"""Tests that take away a file of the workspace, which a remote container does not have."""

globals().update(
    {
        name: test
        for name, test in vars(test_outcomes).items()
        if name.startswith("test_") and name not in OF_LOCAL_FILES
    }
)


@pytest.fixture
def docker_host(foreign_daemon: ForeignDaemon) -> str:
    """The daemon's own socket, by which the tests do what other programs would."""
    return foreign_daemon.host


@pytest.fixture
def contained_runner(runner: DockerRunner) -> DockerRunner:
    """The runner on that daemon, for the tests that run on each engine of containers."""
    return runner


@pytest.fixture
def make_docker_config(
    foreign_daemon: ForeignDaemon, foreign_images: Mapping[str, str], tmp_path: Path
) -> Callable[..., Config]:
    """Return a function that makes configurations for the daemon behind TLS."""

    def make(*, host: str = foreign_daemon.url, **sections: Any) -> Config:
        runtime = RuntimeConfig(images=dict(foreign_images), timeout=120.0)
        docker = DockerSettings(
            host=host, tls_verify=host.startswith("tcp:"), cert_path=str(foreign_daemon.certificates)
        )
        defaults = {"runtime": runtime, "home": str(tmp_path / "home"), "options": {"docker": docker}}
        return Config(engine="docker", **{**defaults, **sections})

    return make
