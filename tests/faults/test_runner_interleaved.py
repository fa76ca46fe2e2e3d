"""Runners that find, take over, begin and end at the same time: each execution has one outcome, and one log."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.every_line import told_by


@pytest.mark.parametrize("pair", ["TwoRecover", "OneBegins", "OneLives", "OneEnds", "OneTookOver"])
def test_whatever_others_do_while_a_runner_is_stopped_each_execution_ends_once(quick_folder: Path, pair: str) -> None:
    told = told_by(Path(__file__).with_name("runner_pairs.py"), quick_folder, pair)
    assert told["wrong"] == []
    assert told["lines"] > 40
