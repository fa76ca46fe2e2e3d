"""The testbed itself: a Docker that answers, and images that hold what they promise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import docker
import pytest

from botdock.config import Config
from testbed.daemon import PrivateDaemon
from testbed.mirror import DEFAULT, deb822_mirrors, find_mirror, one_line_mirrors

pytestmark = pytest.mark.docker


def run_in(host: str, image: str, *command: str) -> str:
    with closing(docker.DockerClient(base_url=host)) as client:
        return client.containers.run(image, list(command), network_mode="none", remove=True).decode().strip()


def test_the_images_hold_their_interpreters(
    docker_host: str, python_image: str, node_image: str, bash_image: str
) -> None:
    assert run_in(docker_host, python_image, "python3", "-c", "import json, sys; print(sys.version)").startswith(
        "3.11."
    )
    assert run_in(docker_host, node_image, "node", "--version").startswith("v20.")
    assert run_in(docker_host, bash_image, "bash", "-c", "echo $BASH_VERSION").startswith("5.")
    assert run_in(docker_host, bash_image, "sh", "-c", "command -v python3 || echo none") == "none"


def test_the_configuration_points_at_the_testbed(docker_config: Config, docker_host: str, tmp_path: Path) -> None:
    assert docker_config.docker.host == docker_host
    assert docker_config.home_dir == tmp_path / "home"


def test_a_drill_daemon_is_another_one_and_comes_back(
    drill_daemon: PrivateDaemon, docker_daemon: PrivateDaemon | None
) -> None:
    before = drill_daemon.pid
    drill_daemon.kill()
    assert not drill_daemon.answers()
    drill_daemon.start()
    assert drill_daemon.answers()
    assert drill_daemon.pid != before
    assert docker_daemon is None or docker_daemon.pid not in {before, drill_daemon.pid}


ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian/ bookworm main contrib
deb http://vendor.example/apt cloud-bookworm main
deb-src http://source.example/debian bookworm main
"""

DEB822 = """
Types: deb
# a comment
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: https://vendor.example
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: bookworm
Components: main
"""


def test_the_mirror_is_that_of_the_machine(tmp_path: Path) -> None:
    assert list(one_line_mirrors(ONE_LINE)) == ["http://mirror.example/debian"]
    assert list(deb822_mirrors(DEB822)) == ["https://mirror.example/debian"]
    assert find_mirror(tmp_path) == DEFAULT
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert find_mirror(tmp_path) == "http://mirror.example/debian"
