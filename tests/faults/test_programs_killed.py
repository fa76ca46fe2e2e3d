"""A runner killed while it removes or writes the program of a runtime: the next one has a whole one."""

from __future__ import annotations

from pathlib import Path

from testbed.drills import count
from testbed.every_line import told_by


def test_a_runner_killed_at_any_line_leaves_no_half_program(tmp_path: Path) -> None:
    found = told_by(Path(__file__).with_name("programs_life.py"), tmp_path)
    assert (found["code"], found["wrong"]) == (0, [])
    assert found["kills"] > count(12, 2)
