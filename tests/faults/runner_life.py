"""Kills a runner at every line of its own code in turn, and judges what its successor makes of what it left.

    python runner_life.py FOLDER

A program of its own, since it forks: in a process with threads that is unsafe.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import botdock.orchestrator
from botdock.config import Config, ContainersConfig, LoggingConfig
from botdock.model import (
    DEFAULT_LIMITS,
    Executable,
    Runtime,
    StorageArea,
    Stream,
)
from botdock.orchestrator import BotOrchestrator, Services, Setting, recovery
from botdock.services import storing
from botdock.services.container import ContainerService
from botdock.services.log_store import StoredLog
from botdock.services.storage import StorageService
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing.fake_logs import FakeLogs
from botdock_testing.fake_services import FakeCode, FakeEntrypoints, FakeMetrics
from faults.disk_engine import WRITTEN, DiskEngine
from testbed import every_line
from testbed.drills import lines
from testbed.every_line import SHARE, tracer

TRACED = (str(Path(botdock.orchestrator.__file__).parent), str(storing.__file__))
SHELL = Runtime(
    name="shell",
    image="shell:1",
    interpreters=("sh",),
    suffixes=(".sh",),
    files=lambda: {"entrypoint.sh": b"#!/bin/sh\n"},
    scripts={"bot": ("main.sh",)},
)
KEPT = {"request.json", "events.jsonl", "result.json", "outcome.json", "logs"}
ONE = 1
"""The limit of every wait, in seconds: nothing here waits for another."""


class Life:
    """One process's view of a state folder, an engine and a storage."""

    def __init__(self, folder: Path) -> None:
        self.home, self.engine_folder, self.storage_folder = folder / "home", folder / "engine", folder / "storage"
        for made in (self.home, self.engine_folder):
            made.mkdir(parents=True, exist_ok=True)

    def orchestrator(self) -> BotOrchestrator:
        config = Config(
            containers=ContainersConfig(call_timeout=ONE, reconnect_timeout=0.0),
            logging=LoggingConfig(drain_timeout=ONE, segment_bytes=4096, compress=False),
        )
        services = Services(
            containers=ContainerService(DiskEngine(self.engine_folder), config.containers, home=self.home),
            code=FakeCode({"code": {"main.sh": b"echo\n"}}),
            storage=StorageService(lambda area: LocalFsBackend(self.storage_folder, area)),
            entrypoints=FakeEntrypoints([SHELL]),
            logs=FakeLogs(),
            metrics=FakeMetrics(),
        )
        setting = Setting(config=config, engine="disk", owner="me", limits=DEFAULT_LIMITS)
        return BotOrchestrator(services, setting, home=self.home, notify=lambda *_, **__: None)

    def live(self) -> None:
        """Run one bot from begin to outcome."""
        orchestrator = self.orchestrator()
        orchestrator.execute_bot(Executable(id="bot", runtime="shell", file_path="code", persist_results=True))
        orchestrator.close()

    def be_killed(self) -> None:
        """Start a bot, and die at once."""
        self.orchestrator().begin(Executable(id="bot", runtime="shell", file_path="code", persist_results=True))
        os.kill(os.getpid(), signal.SIGKILL)

    def succeed(self) -> None:
        """Recover what a dead process left."""
        orchestrator = self.orchestrator()
        for execution in orchestrator.recover():
            execution.wait(20 * ONE)
        orchestrator.close()


Place = tuple[str, int, int]
"""A file, a line of it, and whether it is passed for the first time, the second ..."""


def in_child(work: Callable[[], None], at: Callable[[Place], None] | None = None) -> int:
    """Let a process work, and call `at` at each line of the orchestrator's; return its exit code."""
    passed: Counter[tuple[str, int]] = Counter()

    def count(frame: FrameType) -> None:
        line = frame.f_code.co_filename, frame.f_lineno
        passed[line] += 1
        if at is not None:
            at((*line, passed[line]))

    trace = tracer(lambda code: code.co_filename.startswith(TRACED), count)
    return every_line.in_child(work, trace if at else None, threads=True)


def places(work: Callable[[], None], notes: Path) -> list[Place]:
    """Return where a process passes that lives to its end, in order; each line once."""
    with notes.open("a", buffering=1) as file:
        code = in_child(work, lambda place: print(json.dumps(place), file=file) if place[2] == 1 else None)
    if code:
        raise SystemExit(f"without being killed, it ended with {code}")
    return [tuple(json.loads(line)) for line in notes.read_text().splitlines()]


def killing(target: Place) -> Callable[[Place], None]:
    """Return what kills this process when it comes there."""

    def kill(place: Place) -> None:
        if place == target:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def judge(life: Life, executions: int = 1) -> Iterator[str]:
    """Yield what is wrong after the last one has done its work; there may be as many executions."""
    folders = list((life.home / "executions").iterdir()) if (life.home / "executions").exists() else []
    left = [path for folder in folders for path in folder.iterdir() if path.name not in KEPT]
    left += [path for folder in folders for path in folder.rglob("*.tmp")]
    left += [*life.home.glob("runners/*"), *life.engine_folder.iterdir()]
    left += [folder for folder in folders if folder.name.startswith(".")]
    if left:
        yield f"left behind: {left}"
    if len(folders) > executions:
        yield f"{len(folders)} executions"
    for folder in folders:
        yield from _judge_record(life, folder)


def _judge_record(life: Life, folder: Path) -> Iterator[str]:
    if not (folder / "outcome.json").exists():
        yield "no outcome"
        return
    outcome = json.loads((folder / "outcome.json").read_text())
    if outcome["outcome"] == "infrastructure_error" and "before the bot was started" in outcome["error"]:
        return
    if (outcome["outcome"], outcome["exit_code"]) != ("succeeded", 0):
        yield f"{outcome['outcome']}: {outcome['error']}"
    if "not_stored" in outcome["evidence"] or "left_behind" in outcome["evidence"]:
        yield f"evidence: {outcome['evidence']}"
    stored = dict.fromkeys(Stream, b"")
    for chunk in StoredLog(folder / "logs").chunks():
        stored[chunk.stream] += chunk.data
    if stored != WRITTEN or not outcome["log"]["complete"] or outcome["log"]["gaps"]:
        yield f"the log holds { ({stream: len(data) for stream, data in stored.items()}) }: {outcome['log']}"
    if json.loads((folder / "result.json").read_text()) != {"value": {"pnl": 1.5}}:
        yield "another result"
    yield from _judge_storage(life, folder)


def _judge_storage(life: Life, folder: Path) -> Iterator[str]:
    logs = LocalFsBackend(life.storage_folder, StorageArea.LOGS)
    others = [other.name for other in folder.parent.iterdir() if other != folder]
    there = {info.key.rpartition("/")[2] for info in logs.list() if not any(other in info.key for other in others)}
    wanted = {path.name for path in (folder / "logs").iterdir()}
    if there != wanted:
        yield f"the storage has {sorted(there)}, the disk {sorted(wanted)}"
    results = [info.key for info in LocalFsBackend(life.storage_folder, StorageArea.RESULTS).list()]
    results = [key for key in results if not any(other in key for other in others)]
    if results != [f"executions/{folder.name}/result.json"]:
        yield f"results in the storage: {results}"


def main(folder: Path, scenario: str) -> None:
    """Kill at one line after another of a runner's life, or of that of its first successor."""
    os.fsync = lambda fd: None  # what a killed process has written stays, and this is quicker
    recovery.ENGINE_PATIENCE = 0.0  # no container of this engine appears late
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    kills = 0
    found_places = places(_begun(folder / "first", scenario), folder / "notes")
    for number in itertools.takewhile(lambda number: number <= len(found_places), lines(SHARE)):
        target = found_places[number - 1]
        life, code, found = _killed(folder / str(number), scenario, target)
        kills += code == -signal.SIGKILL
        outcomes[found] += 1
        where = f"killed at {Path(target[0]).name}:{target[1]} ({target[2]})"
        wrong += [f"{where}: {problem}" for problem in judge(life)]
        shutil.rmtree(life.home.parent)
    print(json.dumps({"kills": kills, "places": len(found_places), "wrong": wrong[:20], "outcomes": outcomes}))


def _begun(folder: Path, scenario: str) -> Callable[[], None]:
    """Return what the process does that is killed; its successor's work is done where another was killed before."""
    life = Life(folder)
    if scenario == "begin":
        return life.live
    in_child(life.be_killed)
    return life.succeed


def _killed(folder: Path, scenario: str, target: Place) -> tuple[Life, int, str]:
    code = in_child(_begun(folder, scenario), killing(target))
    life = Life(folder)
    if failed := in_child(life.succeed):
        raise SystemExit(f"killed at {target}: the successor ended with {failed}")
    outcomes = [json.loads(path.read_text())["outcome"] for path in life.home.glob("executions/*/outcome.json")]
    return life, code, " and ".join(outcomes) or "nothing had begun"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
