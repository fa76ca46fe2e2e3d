"""A process killed at any line of keeping and delivering: its successor loses nothing and stores nothing twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.every_line import told_by

MEMORY = Path("/dev/shm")
"""Where a thousand state folders are made and removed in seconds."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=MEMORY) as made:
            yield Path(made)
    else:
        yield tmp_path


@pytest.mark.parametrize("scenario", ["everything", "too much"])
def test_a_process_killed_at_any_line_loses_nothing_that_was_acknowledged(folder: Path, scenario: str) -> None:
    found = told_by(Path(__file__).with_name("outbox_life.py"), folder, scenario)
    assert found["wrong"] == []
    assert found["code"] == 0
    assert found["kills"] > 500
