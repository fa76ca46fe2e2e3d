"""A runner killed at any line of keeping its numbers, and real ones at any moment: nothing is lost or doubled."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from botdock.services.metrics import MetricsService, read_total
from testbed.drills import SEED, count
from testbed.every_line import told_by

KILLS = count(40, 4)

RUNNER = """
import os
import sys
from pathlib import Path
from botdock.services.metrics import MetricsService, service as module
module.KEEP_PAUSE = 0.002
service = MetricsService(folder=Path(sys.argv[1]))
while True:
    service.record("x", seconds=0.1)
    service._total.export()
    os.write(1, b"x" + os.linesep.encode())
    service.start()
    service._threads[0].poked.set()
"""
"""Counts, and says so each time that it is in its file, while its own thread writes too."""


def test_a_runner_killed_at_any_line_loses_nothing_that_was_kept_and_counts_nothing_twice(quick_folder: Path) -> None:
    found = told_by(Path(__file__).with_name("metrics_life.py"), quick_folder)
    assert found["wrong"] == []
    assert found["kills"] > count(100, 4)


def test_runners_killed_at_any_moment_while_others_add_up_lose_nothing(quick_folder: Path) -> None:
    chance, acknowledged = random.Random(SEED), 0
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", RUNNER, str(quick_folder)], stdout=subprocess.PIPE) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, 6))]
            process.kill()
            lines += process.stdout.readlines()
        assert set(lines) == {b"x\n"}
        acknowledged += len(lines)
        # one more may be in the file, of which the runner could say nothing any more
        assert acknowledged <= counted(quick_folder) <= acknowledged + 1
        acknowledged = counted(quick_folder)
    last = MetricsService(folder=quick_folder)
    last.record("x")
    last.close()
    assert counted(quick_folder) == acknowledged + 1
    assert read_total(quick_folder).runners == KILLS + 1
    assert {path.name for path in quick_folder.iterdir()} == {"total.lock", "total.sqlite"}


def counted(folder: Path) -> int:
    return read_total(folder).snapshot.operations["x", ()].count
