"""What the tests of several documents need."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


@pytest.fixture
def newcomer(tmp_path: Path, docker_host: str, docker_images: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user who just followed the README, with the testbed's Docker."""
    images = {f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in docker_images.items()}
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BOTDOCK_HOME": str(tmp_path / "state"),
        "BOTDOCK_DOCKER__HOST": docker_host,
        **images,
    }
