"""The supervisor killed with SIGKILL at every line of what it does about an end: there is one successor."""

from __future__ import annotations

from pathlib import Path

from testbed.drills import count
from testbed.every_line import told_by


def test_a_supervisor_killed_over_the_end_of_a_bot_leaves_exactly_one_successor(quick_folder: Path) -> None:
    found = told_by(Path(__file__).with_name("restart_life.py"), quick_folder)
    print(f"\na supervisor killed at {found['kills']} lines of what follows an end")
    assert (found["code"], found["wrong"]) == (0, [])
    assert found["kills"] > count(150, 8)
