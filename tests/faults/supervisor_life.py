"""Kills a supervisor at every line of its own code in turn, and judges what its successor makes of what it left.

    python supervisor_life.py FOLDER

One bot is asked for, and is to be restarted once. A program of its own, since it forks.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botdock.executions
import botdock.orchestrator
import botdock.supervisor
from botdock.config import Config
from botdock.executions._queue import submit
from botdock.executions._requests import Request, Restart
from botdock.model import Executable, new_execution_id
from botdock.orchestrator import BotOrchestrator, recovery
from botdock.plugin_manager import PluginManager
from botdock.supervisor import Supervisor, _seat, _supervisor, _watch
from botdock.supervisor._keeper import Keeper
from faults import runner_life
from faults.runner_life import Life, judge, killing
from testbed import every_line
from testbed.drills import lines

PACKAGES = (botdock.supervisor, botdock.executions, botdock.orchestrator)
RESTARTS = 1
SAMPLED = 60
"""Of so many lines, a sample has one: each takes two supervisors."""


class SupervisorOfFakes(Supervisor):
    """The loop, over the runners of a `Life`."""

    def __init__(self, life: Life) -> None:
        self._life = life
        super().__init__(on_demand=True)

    def _keeper(self) -> Keeper:
        keeper = super()._keeper()
        keeper.follow = restarted_once  # type: ignore[method-assign,assignment] # it draws no pause
        return keeper

    def _load(self, _overrides: Mapping[str, Any]) -> tuple[Config, PluginManager]:
        return Config(home=str(self._life.home)), PluginManager()

    def _open(self, _overrides: Mapping[str, Any]) -> BotOrchestrator:
        return self._life.orchestrator()


def restarted_once(request: Request, _end: Mapping[str, Any]) -> Restart | None:
    row = request.restart
    return Restart(previous=request.execution_id, restarts=row.restarts + 1) if row.restarts < RESTARTS else None


class SupervisedLife(Life):
    """A state folder in which a bot was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        executable = Executable(id="bot", runtime="shell", file_path="code", persist_results=True)
        submit(self.home, Request(execution_id=new_execution_id(), executable=executable), most=9)

    def supervise(self) -> None:
        """Watch until all is done."""
        SupervisorOfFakes(self).run()


def wrong_with(life: Life) -> Iterator[str]:
    """Yield what is wrong when the last supervisor has ended."""
    yield from judge(life, executions=1 + RESTARTS)
    folders = list((life.home / "executions").iterdir())
    if len(folders) != 1 + RESTARTS:
        yield f"{len(folders)} executions"
    if left := [path.name for path in (life.home / "requests").iterdir() if path.name != ".lock"]:
        yield f"requests: {left}"
    rows = sorted(json.loads((folder / "request.json").read_text())["restart"]["restarts"] for folder in folders)
    if rows != list(range(1 + RESTARTS)):
        yield f"restarts: {rows}"


def places(life: SupervisedLife, notes: Path) -> list[runner_life.Place]:
    """Return where a supervisor passes that lives to its end; each line once."""
    runner_life.TRACED = tuple(str(Path(package.__file__ or "").parent) for package in PACKAGES)  # type: ignore[assignment] # of any length
    found = runner_life.places(life.supervise, notes)
    if problems := list(wrong_with(life)):
        raise SystemExit(f"without being killed: {problems}")
    return found


def main(folder: Path) -> None:
    """Kill at one line after another of a supervisor's life."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker
    recovery.ENGINE_PATIENCE = 0.0  # no container of this engine appears late
    _supervisor._LINGER = _watch._SHORTEST = _seat._LOOK = 0.01
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    kills = 0
    found = places(SupervisedLife(folder / "first"), folder / "notes")
    for number in itertools.takewhile(lambda number: number <= len(found), lines(SAMPLED)):
        target, life = found[number - 1], SupervisedLife(folder / str(number))
        kills += killed(life.supervise, target) == -signal.SIGKILL
        if failed := runner_life.in_child(life.supervise):
            raise SystemExit(f"killed at {target}: the successor ended with {failed}")
        where = f"killed at {Path(target[0]).name}:{target[1]} ({target[2]})"
        wrong += [f"{where}: {problem}" for problem in wrong_with(life)]
        ends = [json.loads(path.read_text())["outcome"] for path in life.home.glob("executions/*/outcome.json")]
        outcomes.update(ends)
        shutil.rmtree(life.home.parent)
    print(json.dumps({"kills": kills, "places": len(found), "wrong": wrong[:20], "outcomes": outcomes}))


def killed(work: Callable[[], None], target: runner_life.Place) -> int:
    return runner_life.in_child(work, killing(target))


if __name__ == "__main__":
    every_line.SLOW = 60.0
    main(Path(sys.argv[1]))
