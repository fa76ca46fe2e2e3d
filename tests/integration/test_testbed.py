"""The testbed itself: a Docker that answers, and images that hold what they promise."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import docker

from botdock.config import Config
from testbed.daemon import PrivateDaemon


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
    assert docker_config.options["docker"].host == docker_host
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


def test_what_a_test_starts_is_not_told_how_wide_a_terminal_is() -> None:
    script = 'echo "${COLUMNS-unset}"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout == b"unset\n"
