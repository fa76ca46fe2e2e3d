"""Puts the Pythons that pyenv keeps on PATH, each under its own name: a shim of pyenv's starts the chosen one only."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Link them into a folder that comes first on PATH."""
    found = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin/python3.[0-9]*"))
    folder = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="botdock-interpreters-")
    for program in found:
        if program.name.removeprefix("python3.").isdigit() and not (link := Path(folder, program.name)).exists():
            link.symlink_to(program)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)
