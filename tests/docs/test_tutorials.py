"""Each tutorial is followed step by step, as a newcomer would, in an empty folder."""

from __future__ import annotations

import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock._locks import locked_at_once
from testbed.documents import blocks, follow

TUTORIALS = Path(__file__).parents[2] / "docs/tutorial"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; a supervisor that is left in it is killed."""
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    for lock in folder.rglob("supervisor.lock"):
        with locked_at_once(lock) as free:
            if not free:
                os.kill(int(lock.read_text()), signal.SIGKILL)


@pytest.mark.docker
@pytest.mark.parametrize("name", ["run-a-strangers-bot", "embed-botdock", "operate-bots"])
def test_a_tutorial_is_followed_step_by_step(name: str, newcomer: dict[str, str], folder: Path) -> None:
    follow((TUTORIALS / f"{name}.md").read_text(), folder, newcomer)


def test_the_runtime_of_the_tutorial_is_written_and_runs(newcomer: dict[str, str], folder: Path) -> None:
    """Without a network: `pip install` becomes a folder on the path that has the metadata of a distribution."""
    text = (TUTORIALS / "write-a-runtime.md").read_text()
    project = folder / "botdock-awk"

    def replaced(command: str) -> str:
        if not command.startswith("pip install"):
            return command
        declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        metadata = project / "botdock_awk-0.1.0.dist-info"
        metadata.mkdir()
        named = f"Name: {declared['name']}\nVersion: {declared['version']}\n"
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
        points = "".join(f"{name} = {module}\n" for name, module in declared["entry-points"]["botdock"].items())
        (metadata / "entry_points.txt").write_text(f"[botdock]\n{points}")
        return ""

    follow(text, folder, {**newcomer, "PYTHONPATH": str(project)}, replaced=replaced)


def test_the_contract_of_a_runtime_is_shown_as_perl_has_it() -> None:
    (shown,) = [
        block.text for block in blocks((TUTORIALS / "write-a-runtime.md").read_text()) if block.language == "py"
    ]
    assert shown in (TUTORIALS.parents[1] / "runtimes/perl/tests/test_perl_contract.py").read_text()
