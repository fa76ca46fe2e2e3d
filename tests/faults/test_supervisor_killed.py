"""Supervisors killed at random, three at one instant, a hundred starts at once: each bot ends once, and right."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from botdock import Config
from botdock.config import SupervisorConfig
from botdock.executions import ExecutionState
from botdock.model import Outcome
from faults.supervisors import PATIENCE, Place
from testbed.drills import SEED, count
from testbed.every_line import told_by
from testbed.waiting import until

NEVER_STARTED = "before the bot was started"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    settings = SupervisorConfig(parallel=20, backoff=0.05, max_backoff=0.5)
    made = Place(Config(engine="process", home=str(tmp_path / "home"), supervisor=settings), tmp_path)
    yield made
    made.close()


def test_what_was_asked_for_ends_once_and_right_however_often_the_supervisor_is_killed(place: Place) -> None:
    chance, names, kills = random.Random(SEED), list[str](), count(40, 3)
    for _ in range(kills):
        supervisor = place.supervise()
        names += [place.start(id=f"bot-{len(names)}", config={"seconds": chance.uniform(0.0, 2.0)}) for _ in range(5)]
        time.sleep(chance.uniform(0.2, 2.5))  # a moment by chance
        supervisor.kill()
        supervisor.wait()
    place.supervise()
    problems = [problem for problem in place.problems(names) if NEVER_STARTED not in problem]
    outcomes = Counter(place.executions.get(name).outcome for name in names)
    print(f"\n{kills} supervisors killed over {len(names)} bots: {dict(outcomes)}")
    assert problems == []
    assert len(place.executions.list()) == len(names)


def test_a_supervisor_killed_at_any_line_leaves_what_the_next_one_makes_one_outcome_of(quick_folder: Path) -> None:
    found = told_by(Path(__file__).with_name("supervisor_life.py"), quick_folder, timeout=3000.0)
    print(f"\na supervisor killed at {found['kills']} of {found['places']} lines: {found['outcomes']}")
    assert found["wrong"] == []
    assert found["kills"] > count(1000, 5)


def test_a_supervisor_killed_over_the_end_of_a_bot_leaves_exactly_one_successor(quick_folder: Path) -> None:
    found = told_by(Path(__file__).with_name("restart_life.py"), quick_folder)
    print(f"\na supervisor killed at {found['kills']} lines of what follows an end")
    assert (found["code"], found["wrong"]) == (0, [])
    assert found["kills"] > count(150, 2)


def one_lives(supervisors: list[subprocess.Popen[bytes]]) -> bool:
    return sum(one.poll() is None for one in supervisors) == 1


def test_of_supervisors_that_start_at_one_instant_one_stays(place: Place) -> None:
    for _ in range(count(10, 1)):
        names = [place.start(config={"seconds": 0.2}) for _ in range(5)]
        supervisors = [place.supervise() for _ in range(3)]
        until(partial(one_lives, supervisors), timeout=PATIENCE)
        assert {one.poll() for one in supervisors} == {None, 2}
        assert list(place.problems(names)) == []
        (living,) = [one for one in supervisors if one.poll() is None]
        living.terminate()
        assert living.wait(PATIENCE) == 0


def test_of_a_hundred_starts_at_once_those_are_stopped_that_were_asked_to(place: Place) -> None:
    chance, starts = random.Random(SEED), count(100, 20)
    place.supervise()
    with ThreadPoolExecutor(8) as pool:
        names = list(
            pool.map(lambda number: place.start(id=f"bot-{number % 7}", config={"seconds": 1.0}), range(starts))
        )
        chosen = chance.sample(names, starts // 5)
        answers = list(pool.map(lambda name: place.executions.stop(name, timeout=PATIENCE), chosen))
    records = place.ended(names)
    assert {record.state for record in records} == {ExecutionState.ENDED}
    stopped = {record.execution_id for record in records if record.outcome is Outcome.STOPPED}
    in_time = {answer.execution_id for answer in answers if answer.outcome is Outcome.SUCCEEDED}
    assert stopped == set(chosen) - in_time, "one that had ended before is left alone"
    assert list(place.problems([name for name in names if name not in stopped])) == []


def test_at_most_so_many_run_as_the_configuration_says(place: Place) -> None:
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            records = place.executions.list(running=True)
            most[0] = max(most[0], sum(record.state == "running" for record in records))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        place.supervise()
        names = [place.start(config={"seconds": 0.3}) for _ in range(30)]
        assert list(place.problems(names)) == []
    finally:
        over.set()
        thread.join()
    assert 1 <= most[0] <= 20


def is_restarted_twice(place: Place, first: str) -> bool:
    return place.executions.get("failing").previous > first


def test_a_stop_by_the_first_execution_reaches_the_bot_however_often_it_was_restarted(place: Place) -> None:
    failing = place.code.with_name("failing")
    failing.mkdir()
    (failing / "main.sh").write_text("sleep 0.2; exit 3")
    place.supervise()
    for _ in range(count(20, 2)):
        first = place.start(id="failing", file_path=str(failing), restart="always")
        until(partial(is_restarted_twice, place, first), timeout=PATIENCE)
        stopped = place.executions.stop(first, timeout=PATIENCE)
        assert stopped.execution_id != first
        until(lambda: not list(place.home.glob("requests/*.json")), timeout=PATIENCE)
        assert place.executions.list(running=True) == []
        assert place.executions.get("failing").execution_id == stopped.execution_id
