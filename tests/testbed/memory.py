"""Folders in memory, to be quick, or to be full soon; the root `conftest.py` loads the fixtures."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder in memory, or on the disk of a machine that has none there: the same, but slower."""
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=MEMORY) as made:
            yield Path(made)
    else:
        yield tmp_path


@pytest.fixture
def mount_small() -> Iterator[Callable[..., Path]]:
    """Returns a function that makes a folder a file system of so many bytes, and is skipped where that cannot be."""

    def mount(place: Path, size: int) -> Path:
        place.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(place)]
        if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root can mount a small file system")
        mounted.callback(partial(subprocess.run, ["umount", str(place)], check=True))
        return place

    with ExitStack() as mounted:
        yield mount
