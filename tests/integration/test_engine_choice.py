"""Which engine runs a bot where none is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from botdock import Config

HELLO = Path(__file__).parents[2] / "examples" / "hello-python"
BOTDOCK = Path(sys.executable).with_name("botdock")


def test_without_docker_the_oci_engine_is_chosen_and_isolates(
    make_oci_config: Callable[..., Config], clean_environment: dict[str, str], tmp_path: Path
) -> None:
    config = make_oci_config()  # so that a runtime is there
    nothing = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "BOTDOCK_HOME": str(config.home_dir)}
    environment = {**clean_environment, **nothing, "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(BOTDOCK), "run", str(HELLO), "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["engine"], result["outcome"]) == ("oci", "succeeded")
    assert "runc " in result["evidence"]["engine"]


def test_docker_is_chosen_where_it_answers(
    docker_config: Config, docker_host: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    images = {f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in docker_config.runtime.images.items()}
    environment = {**clean_environment, **images, "DOCKER_HOST": docker_host, "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(BOTDOCK), "run", str(HELLO), "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"] == "docker"
