"""Each tutorial is followed step by step, as a newcomer would, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.documents import follow

TUTORIALS = Path(__file__).parents[2] / "docs/tutorial"


@pytest.mark.docker
@pytest.mark.parametrize("name", ["run-a-strangers-bot"])
def test_a_tutorial_is_followed_step_by_step(name: str, newcomer: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    follow((TUTORIALS / f"{name}.md").read_text(), folder, newcomer)
