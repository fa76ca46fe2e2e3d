"""The programs of the page for those who come from another library do the same job, ours and theirs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.documents import follow

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/coming-from.md").read_text()
PEERS = ("docker==7.2.0", "testcontainers==4.15.0", "llm-sandbox==0.3.46")
OURS = r"python (with_botdock|with_docker_py|as_before)\.py"
"""What needs only packages that the tests have anyway."""
THEIRS = r"python with_\w+\.py"


def run(commands: str, folder: Path, environment: Mapping[str, str], images: Mapping[str, str]) -> None:
    """Follow the page with the testbed's Docker, of which some commands are run."""
    text = TEXT.replace("python:3.11-slim", images["python311"])
    settings = {f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in images.items()}
    state = {"HOME": str(folder), "BOTDOCK_HOME": str(folder / "state"), "BOTDOCK_ENGINE": "docker"}
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    follow(
        text,
        folder,
        {**environment, **settings, **state, "PATH": path},
        replaced=lambda command: command if re.fullmatch(commands, command) else "",
    )


def test_ours_do_the_job_and_so_does_docker_py(
    docker_host: str, docker_images: Mapping[str, str], clean_environment: dict[str, str], tmp_path: Path
) -> None:
    run(OURS, tmp_path, {**clean_environment, "DOCKER_HOST": docker_host}, docker_images)


@pytest.mark.sampled(10)
def test_the_other_libraries_do_the_job(
    docker_host: str, docker_images: Mapping[str, str], clean_environment: dict[str, str], tmp_path: Path
) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--target", str(tmp_path / "peers"), *PEERS]
    done = subprocess.run(install, env=clean_environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the other libraries cannot be had: {done.stderr}")
    environment = {
        **clean_environment,
        "DOCKER_HOST": docker_host,
        "PYTHONPATH": str(tmp_path / "peers"),
        "TESTCONTAINERS_RYUK_DISABLED": "true",  # its reaper is one more image, to be pulled
    }
    run(THEIRS, tmp_path, environment, docker_images)
