"""The runner killed with SIGKILL, at every line of its code: its successor makes good what it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.drills import count
from testbed.every_line import told_by


@pytest.mark.parametrize(("scenario", "kills"), [("begin", count(400, 6)), ("recover", count(300, 4))])
def test_a_runner_killed_at_any_line_leaves_what_its_successor_makes_one_outcome_of(
    quick_folder: Path, scenario: str, kills: int
) -> None:
    found = told_by(Path(__file__).with_name("runner_life.py"), quick_folder, scenario)
    print(f"\n{scenario}: a runner killed at {found['kills']} of {found['places']} lines: {found['outcomes']}")
    assert found["wrong"] == []
    assert found["kills"] > kills
    assert found["outcomes"]["succeeded"] > kills // 2
