"""A runner killed at any line of keeping its numbers, and real ones at any moment: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock.services.metrics import MetricsService, read_total
from botdock.services.metrics.ledger import CROWD
from testbed.every_line import told_by

MEMORY = Path("/dev/shm")
"""Where a thousand folders are made and removed in seconds."""
KILLS = 40

RUNNER = """
import os
import sys
from pathlib import Path
from botdock.services.metrics import MetricsService, service as module
module.KEEP_PAUSE = 0.002
service = MetricsService(folder=Path(sys.argv[1]))
while True:
    service.record("x", seconds=0.1)
    service._ledger.export(service.get_metrics())
    os.write(1, b"x" + os.linesep.encode())
    service.export()
"""
"""Counts, and says so each time that it is in its file, while its own thread writes too."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=MEMORY) as made:
            yield Path(made)
    else:
        yield tmp_path


def test_a_runner_killed_at_any_line_loses_nothing_that_was_kept_and_counts_nothing_twice(folder: Path) -> None:
    found = told_by(Path(__file__).with_name("metrics_life.py"), folder)
    assert found["wrong"] == []
    assert found["kills"] > 500


def test_runners_killed_at_any_moment_while_others_add_up_lose_nothing(folder: Path) -> None:
    chance, acknowledged = random.Random(7), 0
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", RUNNER, str(folder)], stdout=subprocess.PIPE) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, 6))]
            process.kill()
            lines += process.stdout.readlines()
        assert set(lines) == {b"x\n"}
        acknowledged += len(lines)
        # one more may be in the file, of which the runner could say nothing any more
        assert acknowledged <= counted(folder) <= acknowledged + 1
        acknowledged = counted(folder)
    assert len(list(folder.iterdir())) <= 2 * CROWD + 4
    last = MetricsService(folder=folder)
    last.record("x")
    last.close()
    assert counted(folder) == acknowledged + 1
    assert read_total(folder).ended == KILLS + 1
    assert {path.name for path in folder.iterdir()} == {"lock", "total.json"}


def counted(folder: Path) -> int:
    total = read_total(folder)
    assert total.problems == ()
    return total.snapshot.operations["x", ()].count
