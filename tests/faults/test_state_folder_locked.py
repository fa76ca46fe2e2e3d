"""The state folder may not be written for a while, in mid-run: bots end once and honestly, and all goes on afterwards.

Its files are made immutable, which binds root as a file system does that was remounted read-only.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import SupervisorConfig
from botdock.errors import BotdockError
from botdock.model import ExecutionResult, Outcome
from faults.supervisors import COUNTING, KEPT, PATIENCE, Place
from testbed.drills import SEED, count
from testbed.waiting import until

FAILING = "echo once more; sleep 0.5; exit 3"


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let nothing in a folder be written, removed or renamed."""
    for _ in range(2):  # what was made while it went through
        change_all("+i", home)
    try:
        yield
    finally:
        change_all("-i", home)


def change_all(change: str, folder: Path) -> int:
    return subprocess.run(["chattr", "-R", "-f", change, str(folder)], check=False).returncode


@pytest.fixture(autouse=True)
def immutable_files(tmp_path: Path) -> None:
    (probe := tmp_path / "probe").mkdir()
    if os.geteuid() or change_all("+i", probe):
        pytest.skip("only root can make files immutable, and on some file systems only")
    change_all("-i", probe)


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    if request.param == "process":
        return Config(engine="process", home=str(tmp_path / "home"))
    make: Callable[..., Config] = request.getfixturevalue("make_docker_config")
    return make(home=str(tmp_path / "home"))


def has_more(runner: DockerRunner, before: int) -> bool:
    return len(runner.executions.list()) > before


def has_said_something(runner: DockerRunner) -> bool:
    (newest,) = runner.executions.list(limit=1)
    return any(path.stat().st_size for path in newest.logs.glob("stdout.*"))


def check_left(home: Path) -> None:
    """Check that of what has ended nothing is left, but what is kept, and drafts that the lock came upon."""
    for folder in (home / "executions").glob("0*"):  # not what was just being removed: the next supervisor's
        assert {path.name for path in folder.iterdir() if path.suffix != ".tmp"} <= KEPT
    assert [path.name for path in home.glob("process/*")] == []


def run(runner: DockerRunner, bot: Executable, results: list[ExecutionResult | BotdockError]) -> None:
    try:
        results.append(runner.run(bot))
    except BotdockError as error:  # the lock came before the bot
        results.append(error)


@pytest.mark.sampled(2)
def test_a_runner_ends_its_bot_honestly_and_goes_on_afterwards(config: Config, tmp_path: Path) -> None:
    chance, outcomes = random.Random(SEED), Counter[str]()
    (tmp_path / "main.py").write_text(COUNTING)
    bot = Executable(id="sma", runtime="python311", file_path=str(tmp_path / "main.py"), config={"seconds": 1.5})
    with DockerRunner(config) as runner:
        for number in range(count(20, 1)):
            results: list[ExecutionResult | BotdockError] = []
            before = len(runner.executions.list())
            thread = threading.Thread(target=run, args=(runner, bot, results))
            thread.start()
            until(partial(has_more, runner, before), timeout=PATIENCE)
            if number == 0:  # the others may be refused, as the lock may come before the bot
                until(partial(has_said_something, runner), timeout=PATIENCE)
            time.sleep(chance.uniform(0.0, 1.5))  # a moment by chance
            with locked(config.home_dir):
                time.sleep(chance.uniform(0.0, 3.0))
            thread.join(PATIENCE)
            (result,) = results
            if isinstance(result, BotdockError):
                outcomes["refused"] += 1
                assert str(config.home_dir) in str(result)
                continue
            outcomes[str(result.outcome)] += 1
            if result.outcome is not Outcome.SUCCEEDED:
                assert "Traceback" not in result.error
            record = runner.executions.wait(result.execution_id, timeout=PATIENCE)
            assert record.outcome == result.outcome
        assert runner.run(bot).outcome is Outcome.SUCCEEDED
        until(lambda: runner.list_managed_containers() == [], timeout=PATIENCE)
    print(f"\n{outcomes}")
    assert outcomes.total() > outcomes["refused"]
    check_left(config.home_dir)


@pytest.fixture
def place(config: Config, tmp_path: Path) -> Iterator[Place]:
    made = Place(attrs.evolve(config, supervisor=SupervisorConfig(backoff=0.05, max_backoff=1.0)), tmp_path)
    yield made
    made.close()


def said_by(place: Place, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a command, and what it says on stderr."""
    command = [sys.executable, "-m", "botdock_cli", *arguments, "--config-file", str(place.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


def has_successor(place: Place, before: set[str]) -> bool:
    return any(one.id == "failing" and one.execution_id not in before for one in place.executions.list(running=True))


@pytest.mark.sampled(2)
def test_a_supervisor_goes_on_with_all_its_bots_afterwards(place: Place, tmp_path: Path) -> None:
    chance, outcomes, names = random.Random(SEED), Counter[str](), list[str]()
    (tmp_path / "failing").mkdir()
    (tmp_path / "failing" / "main.sh").write_text(FAILING)
    supervisor = place.supervise()
    place.settled(supervisor)
    failing = place.start(id="failing", file_path=str(tmp_path / "failing"), restart="always")
    for number in range(count(10, 1)):
        names += [place.start(id=f"bot-{number}", config={"seconds": chance.uniform(0.0, 5.0)}) for _ in range(4)]
        time.sleep(chance.uniform(0.5, 3.0))  # a moment by chance
        known = {record.execution_id for record in place.executions.list()}
        with locked(place.home):
            for arguments in (["start", str(place.code)], ["stop", names[-1]]):
                code, said = said_by(place, *arguments)
                assert "Traceback" not in said
                assert (code == 125 and "cannot write" in said) or code == 0, (arguments, code, said)
            assert said_by(place, "ps", "-a")[0] == 0
            time.sleep(chance.uniform(0.0, 5.0))
        until(partial(has_successor, place, known), timeout=PATIENCE)
        records = place.ended(names[-4:])
        outcomes.update(str(record.outcome) for record in records)
        assert {record.state for record in records} == {"ended"}
    assert said_by(place, "stop", failing)[0] == 0
    until(lambda: not place.executions.list(running=True), timeout=PATIENCE)
    until(lambda: not list(place.home.glob("requests/*.json")), timeout=PATIENCE)
    print(f"\n{outcomes}")
    assert "Traceback" not in place.said(supervisor)
    assert supervisor.poll() is None
    check_left(place.home)


def test_the_next_supervisor_removes_a_record_that_a_lock_left_half_removed(place: Place) -> None:
    place.settled(first := place.supervise())
    (record,) = place.ended([place.start(config={"seconds": 0.1})])
    change_all("+i", record.logs)
    try:
        code, said = said_by(place, "rm", record.execution_id)
        assert code == 125, said
        assert "cannot remove" in said
        (draft,) = (place.home / "executions").glob(f".{record.execution_id}.*")
    finally:
        change_all("-i", place.home)
    assert place.executions.list() == []
    first.terminate()
    first.wait(PATIENCE)
    place.settled(place.supervise())
    until(lambda: not draft.exists(), timeout=PATIENCE)
