"""A process killed at any line of keeping and delivering: its successor loses nothing and stores nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.drills import count
from testbed.every_line import told_by


@pytest.mark.parametrize("scenario", ["everything", "too much"])
def test_a_process_killed_at_any_line_loses_nothing_that_was_acknowledged(quick_folder: Path, scenario: str) -> None:
    found = told_by(Path(__file__).with_name("outbox_life.py"), quick_folder, scenario)
    assert found["wrong"] == []
    assert found["code"] == 0
    assert found["kills"] > count(500, 8)
