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
from typing import Protocol

from botdock import _database, _locks
from botdock.services.metrics import MetricsService, total
from botdock.services.metrics.total import TotalExporter, read_total, reset_total
from testbed import every_line
from testbed.every_line import kill_at_every_line, lines_of

TRACED = lines_of(_database, _locks, total)
BEFORE = (1, 10)
"""What two runners counted that were killed before."""
OWN = (100, 1000)
"""What the runner that is killed counts: each is acknowledged once it is in the file."""


class Scenario(Protocol):
    """What a runner does in a folder, noting each step."""

    __name__: str

    def __call__(self, folder: Path, note: Callable[[int], object], /) -> None: ...


def counted(folder: Path) -> int:
    return sum(stats.count for stats in read_total(folder).snapshot.operations.values())


class Runner:
    """A runner whose numbers are kept when it says so, without its threads."""

    def __init__(self, folder: Path) -> None:
        self.service = MetricsService(folder=folder)
        assert self.service._total
        self.total: TotalExporter = self.service._total

    def count(self, times: int) -> Runner:
        for _ in range(times):
            self.service.record("x", seconds=0.1)
        self.total.export()
        return self


def prepare(folder: Path) -> None:
    """Let runners have been here."""
    for times in BEFORE:
        Runner(folder).count(times).total.close()


def live(folder: Path, note: Callable[[int], object]) -> None:
    """Count, keep it, close: what `botdock run` does."""
    runner = Runner(folder)
    for times in OWN:
        runner.count(times)
        note(times)
    runner.total.total()
    runner.total.close()


def forget(folder: Path, note: Callable[[int], object]) -> None:
    """Reset the sum, and count on."""
    runner = Runner(folder)
    runner.count(OWN[0])
    note(OWN[0])
    reset_total(folder)
    note(-1)
    runner.count(OWN[1])
    note(OWN[1])
    runner.total.close()


def allowed_after(scenario: Scenario, notes: list[int]) -> set[int]:
    """Return the sums that are right: what was acknowledged, and with or without the step that was under way."""
    before, (first, second) = sum(BEFORE), OWN
    if scenario is live:
        steps = [before, before + first, before + first + second]
    else:
        steps = [before, before + first, 0, second]
    return set(steps[len(notes) : len(notes) + 2])


def judge(scenario: Scenario, folder: Path, notes: Path) -> list[str]:
    """Return what is wrong with what a killed runner left, and with what the next ones make of it."""
    allowed = allowed_after(scenario, [int(line) for line in notes.read_text().split()] if notes.exists() else [])
    wrong, found = [], counted(folder)
    if found not in allowed:
        wrong.append(f"the sum is {found}, not one of {sorted(allowed)}")
    Runner(folder).count(7).total.close()
    if counted(folder) != found + 7:
        wrong.append(f"the sum became {counted(folder)} of {found} when the next runner added 7")
    left = {path.name for path in folder.iterdir()} - {"total.lock", total.NAME}
    return [*wrong, f"left behind: {left}"] if left else wrong


def main(folder: Path) -> None:
    """Kill at the first line, at the second, and so on, until a process lives to its end; for each scenario."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker
    kills, wrong = 0, list[str]()
    for scenario in (live, forget):
        found = kill_at_every_line(partial(_lives, folder, scenario), TRACED)
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
