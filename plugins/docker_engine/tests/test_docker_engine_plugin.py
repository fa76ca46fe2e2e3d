"""What botdock finds when it looks for plugins."""

from __future__ import annotations

import subprocess
import sys

import pytest

from botdock import CheckStatus, EnginePlugin
from botdock.config import Config
from botdock.errors import ConfigError
from botdock_engine_docker import plugin
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings


@pytest.fixture
def found() -> EnginePlugin:
    (found,) = plugin.botdock_engines()
    return found


def test_it_isolates_so_it_may_be_chosen_unasked(found: EnginePlugin) -> None:
    assert (found.name, found.automatic) == ("docker", True)


def test_discovery_imports_nothing_that_is_slow() -> None:
    program = (
        "import sys, botdock_engine_docker.plugin as plugin; list(plugin.botdock_engines()); "
        "sys.exit(sorted({'docker', 'requests', 'urllib3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_factory_does_not_connect(found: EnginePlugin) -> None:
    engine = found.factory(Config(options={"docker": DockerSettings(host="unix:///nowhere/docker.sock")}))
    assert isinstance(engine, DockerEngine)
    engine.close()


def test_the_factory_refuses_a_wrong_address(found: EnginePlugin) -> None:
    with pytest.raises(ConfigError, match="needs a host and a port"):
        found.factory(Config(options={"docker": DockerSettings(host="tcp://docker")}))


def test_the_checks_say_what_is_wrong_instead_of_raising(found: EnginePlugin) -> None:
    (check,) = found.checks(Config(options={"docker": DockerSettings(host="unix:///nowhere/docker.sock")}))
    assert (check.name, check.status) == ("docker.engine", CheckStatus.FAILED)
