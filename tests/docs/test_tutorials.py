"""Each tutorial is followed step by step, as a newcomer would, in an empty folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock._locks import locked_at_once
from testbed.documents import follow

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
