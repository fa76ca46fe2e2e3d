"""Runners that find, take over, begin and end at the same time: each execution has one outcome, and one log."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from testbed.every_line import told_by

MEMORY = Path("/dev/shm")
"""Where some hundred state folders are made and removed in seconds."""


@pytest.mark.parametrize("pair", ["TwoRecover", "OneBegins", "OneLives", "OneEnds", "OneTookOver"])
def test_whatever_others_do_while_a_runner_is_stopped_each_execution_ends_once(pair: str) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        told = told_by(Path(__file__).with_name("runner_pairs.py"), folder, pair)
    assert told["wrong"] == []
    assert told["lines"] > 40
