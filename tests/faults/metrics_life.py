"""Kills a runner at every line of keeping its numbers in turn, and judges what the next one finds.

    python metrics_life.py FOLDER

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Protocol

from botdock.services import _locks, _whole_files
from botdock.services.metrics import MetricsService, files, ledger, total
from botdock.services.metrics.ledger import Ledger
from botdock.services.metrics.total import open_total, read_total, reset_total
from testbed import every_line
from testbed.every_line import kill_at_every_line, lines_of

TRACED = lines_of(_locks, files, ledger, total, _whole_files)
BEFORE = (1, 10)
"""What two runners counted that were killed before: one file is in the folder, the other's lock too."""
OWN = (100, 1000)
"""What the runner that is killed counts: each is acknowledged once it is in its file."""


class Scenario(Protocol):
    """What a runner does in a folder, noting each step."""

    __name__: str

    def __call__(self, folder: Path, note: Callable[[int], object], /) -> None: ...


def counted(folder: Path) -> int:
    total = read_total(folder)
    assert not total.problems, total.problems
    return sum(stats.count for stats in total.snapshot.operations.values())


class Runner:
    """A runner whose numbers are kept when it says so, without its threads."""

    def __init__(self, folder: Path) -> None:
        self.service = MetricsService()
        self.ledger = Ledger(folder, self.service._lifetime)

    def count(self, times: int) -> None:
        for _ in range(times):
            self.service.record("x", seconds=0.1)
        self.ledger.export(self.service.get_metrics())


def prepare(folder: Path) -> None:
    """Let runners have been here: one closed, two were killed, one lives (in this process)."""
    for times in BEFORE:
        runner = Runner(folder)
        runner.count(times)
        runner.ledger._held.close()


def live(folder: Path, note: Callable[[int], object]) -> None:
    """Count, keep it, close: what `botdock run` does."""
    runner = Runner(folder)
    for times in OWN:
        runner.count(times)
        note(times)
    runner.ledger.total()
    runner.ledger.close()


def forget(folder: Path, note: Callable[[int], object]) -> None:
    """Reset the sum, and count on."""
    runner = Runner(folder)
    runner.count(OWN[0])
    note(OWN[0])
    reset_total(folder)
    note(-1)
    runner.count(OWN[1])
    note(OWN[1])
    runner.ledger.close()


def allowed_after(scenario: Scenario, notes: list[int]) -> set[int]:
    """Return the sums that are right: what was acknowledged, and with or without the step that was under way."""
    before, (first, second) = sum(BEFORE), OWN
    if scenario is live:
        steps = [before, before + first, before + first + second]
    else:
        steps = [before, before + first, 0, second]
    return set(steps[len(notes) : len(notes) + 2])


def _touches_the_disk(code: CodeType) -> bool:
    """Leave out what only computes: killed there is killed at the line that called it."""
    return TRACED(code) and (code.co_filename != files.__file__ or code.co_name == "replace_file")


def judge(scenario: Scenario, folder: Path, notes: Path) -> list[str]:
    """Return what is wrong with what a killed runner left, and with what the next ones make of it."""
    allowed = allowed_after(scenario, [int(line) for line in notes.read_text().split()] if notes.exists() else [])
    wrong, found = [], counted(folder)
    if found not in allowed:
        wrong.append(f"the sum is {found}, not one of {sorted(allowed)}")
    for _ in range(2):
        with open_total(folder) as total:
            total.fold()
        if counted(folder) != found:
            wrong.append(f"the sum became {counted(folder)} of {found} when the next runner added it up")
    Runner(folder).count(0)
    left = {path.name for path in folder.iterdir()} - {"lock", "total.json", "total.tmp"}
    return [*wrong, f"left behind: {left}"] if left else wrong


def main(folder: Path) -> None:
    """Kill at the first line, at the second, and so on, until a process lives to its end; for each scenario."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker
    kills, wrong = 0, list[str]()
    for scenario in (live, forget):
        found = kill_at_every_line(partial(_lives, folder, scenario), _touches_the_disk)
        kills += found["kills"]
        wrong += [f"{scenario.__name__} {problem}" for problem in found["wrong"]]
        if found["code"]:
            wrong.append(f"{scenario.__name__} ended with {found['code']}")
    print(json.dumps({"kills": kills, "wrong": wrong}))


def _lives(folder: Path, scenario: Scenario, kills: int) -> every_line.Life:
    home = folder / f"{scenario.__name__}-{kills}"
    home.mkdir()
    prepare(home / "metrics")

    def work() -> None:
        descriptor = os.open(home / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        scenario(home / "metrics", lambda step: os.write(descriptor, f"{step}\n".encode()))

    def judged() -> Iterator[str]:
        yield from judge(scenario, home / "metrics", home / "notes")
        shutil.rmtree(home)

    return work, judged


if __name__ == "__main__":
    main(Path(sys.argv[1]))
