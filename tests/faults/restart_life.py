"""Kills a supervisor at every line of what it does about the end of a bot that is restarted; judges what comes of it.

    python restart_life.py FOLDER

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from botdock import _whole_files
from botdock.config import Config, NotifyConfig
from botdock.executions import Executions, ExecutionState, _queue, _requests
from botdock.executions._files import request_ids
from botdock.executions._requests import Request, read_request
from botdock.model import Executable, RestartPolicy, new_execution_id
from botdock.orchestrator.journal import tidy_up
from botdock.supervisor import _keeper, _succession
from botdock.supervisor._keeper import Keeper
from botdock.supervisor._succession import settle
from testbed.every_line import kill_at_every_line, lines_of

BOT = Executable(
    id="sma", file_path="sma.zip", code=b"PK", secrets={"KEY": "s3cr3t"}, restart=RestartPolicy.parse("always")
)
END = {"outcome": "failed", "error": "exit code 3", "duration_seconds": 1.0,
       "evidence": {"bounds": {"restart": {"value": "always", "source": "caller"}}}}  # fmt: skip


def settled(home: Path) -> None:
    """Do what a supervisor does at its start, and about each execution that has ended."""
    keeper = Keeper(Config(home=str(home), notify=NotifyConfig(events=())), home=home, hook=lambda *_, **__: None)
    tidy_up(home)
    for name in request_ids(home):
        outcome = home / "executions" / name / "outcome.json"
        if outcome.exists():
            settle(home, name, json.loads(outcome.read_text()), keeper.follow)


def life(home: Path) -> tuple[Callable[[], None], Callable[[], Iterator[str]]]:
    """Return what the one does that is killed, and what says what is wrong after the next one."""
    first = Request(execution_id=new_execution_id(), executable=BOT)
    home.mkdir(mode=0o700)
    _queue.submit(home, first, most=9)
    (home / "executions" / first.execution_id / "outcome.json").write_text(json.dumps(END))

    def judge() -> Iterator[str]:
        settled(home)
        names = [name for name in request_ids(home) if name != first.execution_id]
        waiting = [one for one in Executions(home).list() if one.state is not ExecutionState.ENDED]
        if len(names) != 1 or [one.execution_id for one in waiting] != names:
            yield f"{len(names)} requests and {[str(one.state) for one in waiting]} are left"
        for request in (read_request(home, name) for name in names):
            if request is None or request.executable != BOT or request.restart.previous != first.execution_id:
                yield f"the successor is {request}"
        left = [path.name for folder in ("requests", "executions") for path in (home / folder).iterdir()]
        if odd := [name for name in left if name != ".lock" and not name.startswith((first.execution_id, *names))]:
            yield f"left behind: {odd}"
        if list((home / "requests").glob(f"*{first.execution_id}*")):
            yield "the secrets of the first are left"
        shutil.rmtree(home)

    return lambda: settled(home), judge


def main(folder: Path) -> None:
    """Kill at one line after another."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker
    homes = (folder / f"{number}" for number in itertools.count())
    traced = lines_of(_keeper, _succession, _queue, _requests, _whole_files)
    print(json.dumps(kill_at_every_line(lambda _: life(next(homes)), traced)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
