"""Whatever ends a bot at the same moment: one terminal record, and an outcome that its evidence bears out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, Execution, Limits, Outcome
from botdock.errors import BotdockError
from testbed.drills import FULL, SEED, count
from testbed.waiting import until

ROUNDS = count(100, 4)
"""Of each race."""
STOPPER = """
import sys
from botdock.executions import Executions

Executions(sys.argv[1]).stop(sys.argv[2], grace=1.0, timeout=60.0)
"""
Race = Callable[[DockerRunner, Executable, random.Random], Execution]


def stopped_twice(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    """By two threads of its runner, and by a request, within a few milliseconds."""
    execution = runner.start(bot)
    stops: list[Callable[[], object]] = [
        execution.stop,
        lambda: execution.stop(grace=0.0),
        lambda: runner.executions.request_stop(execution.execution_id, grace=0.0),
    ]
    at_once([(chance.uniform(0, 0.01), stop) for stop in chance.sample(stops, 3)])
    return execution


def stopped_as_it_ends(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    execution = runner.start(attrs.evolve(bot, config={"seconds": 0.2}))
    at_once([(chance.uniform(0.1, 0.4), execution.stop)])
    return execution


def timed_out_as_it_ends(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    return runner.start(attrs.evolve(bot, config={"seconds": 0.2}, timeout=chance.uniform(0.2, 0.5)))


def stopped_as_it_times_out(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    execution = runner.start(attrs.evolve(bot, timeout=0.3))
    at_once([(chance.uniform(0.25, 0.35), execution.stop)])
    return execution


def stopped_by_two_processes(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    del chance
    execution = runner.start(bot)
    command = [sys.executable, "-c", STOPPER, str(runner.config.home_dir), execution.execution_id]
    stoppers = [subprocess.Popen(command) for _ in range(2)]
    assert [stopper.wait(120) for stopper in stoppers] == [0, 0]
    return execution


def stopped_as_it_starts(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    """Anywhere from its first record to its bot's first steps."""
    known, started = {one.execution_id for one in runner.executions.list()}, []
    starting = threading.Thread(target=lambda: started.append(runner.start(bot)))
    starting.start()
    until(lambda: [one for one in runner.executions.list() if one.execution_id not in known], timeout=60)
    (record,) = [one for one in runner.executions.list() if one.execution_id not in known]
    time.sleep(chance.uniform(0, 0.3))
    runner.executions.request_stop(record.execution_id, grace=0.0)
    starting.join(60)
    return started[0]


def stopped_as_its_memory_ends(runner: DockerRunner, bot: Executable, chance: random.Random) -> Execution:
    if runner.config.engine == "process":
        pytest.skip("it bounds no memory")
    limits = Limits(memory=64 * 1024 * 1024)
    execution = runner.start(attrs.evolve(bot, config={"seconds": 0.2, "eats": True}, limits=limits))
    at_once([(chance.uniform(0.1, 0.9), lambda: execution.stop(grace=chance.choice([0.0, 5.0])))])
    return execution


RACES: dict[Race, set[Outcome]] = {
    stopped_twice: {Outcome.STOPPED},
    stopped_as_it_ends: {Outcome.STOPPED, Outcome.SUCCEEDED},
    timed_out_as_it_ends: {Outcome.TIMED_OUT, Outcome.SUCCEEDED},
    stopped_as_it_times_out: {Outcome.STOPPED, Outcome.TIMED_OUT},
    stopped_by_two_processes: {Outcome.STOPPED},
    stopped_as_it_starts: {Outcome.STOPPED},
    **({stopped_as_its_memory_ends: {Outcome.STOPPED, Outcome.OOM_KILLED}} if FULL else {}),
}
BOT = """
sleep "$(echo "$CONFIG" | tr -dc 0-9.)" &
wait
case $CONFIG in
*eats*) a=x; while :; do a=$a$a; done ;;
esac
"""


def at_once(acts: list[tuple[float, Callable[[], object]]]) -> None:
    """Do each in a thread of its own, after its delay; one that comes too late may say so."""

    def act(delay: float, what: Callable[[], object]) -> None:
        time.sleep(delay)
        try:
            what()
        except BotdockError as error:
            refused.append(error)

    refused: list[BotdockError] = []
    threads = [threading.Thread(target=act, args=one) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not refused


def wrong_with(execution: Execution, folder: Path, allowed: set[Outcome]) -> Iterator[str]:
    """Say what of the record is not as it must be."""
    result = execution.result
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kinds = Counter(event["event"] for event in events)
    record = json.loads((folder / "outcome.json").read_text())
    if result.outcome not in allowed:
        yield f"{result.outcome}: {result.error}"
    if (record["outcome"], kinds["finished"]) != (result.outcome, 1):
        yield f"recorded as {record['outcome']}, and finished {kinds['finished']} times"
    told = kinds["ending"] - kinds["not_ended"]
    if result.outcome is Outcome.SUCCEEDED and (told or result.exit_code != 0):
        yield f"a success with code {result.exit_code}, after {told} endings"
    if result.outcome is Outcome.OOM_KILLED and result.evidence["oom_killed"] is not True:
        yield "out of memory, without evidence of it"
    if result.outcome is Outcome.TIMED_OUT and result.evidence["timeout"] != "wall":
        yield f"timed out by {result.evidence['timeout']}"
    if left := {path.name for path in folder.iterdir()} - {*KEPT}:
        yield f"left behind: {sorted(left)}"


KEPT = ("request.json", "events.jsonl", "result.json", "outcome.json", "logs")


@pytest.fixture(params=["process", pytest.param("oci", marks=pytest.mark.sampled(6)), *(["docker"] if FULL else [])])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DockerRunner]:
    config: Any = Config(engine="process", home=str(tmp_path / "home"))
    if request.param != "process":
        config = request.getfixturevalue(f"{request.param}_config")
    with DockerRunner(config) as runner:
        yield runner


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_of_what_ends_it_at_once_one_is_the_outcome(runner: DockerRunner, tmp_path: Path, race: Race) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.sh").write_text(BOT)
    bot = Executable(
        id="raced", runtime="bash", file_path=str(tmp_path / "code"), config={"seconds": 600}, timeout=300.0
    )
    rounds = ROUNDS if runner.config.engine == "process" else count(20, 1)
    for number in range(rounds):
        execution = race(runner, bot, random.Random(f"{SEED} {race.__name__} {number}"))
        assert execution.wait(120) is not None
        folder = runner.config.home_dir / "executions" / execution.execution_id
        until((folder / "outcome.json").exists, timeout=60)
        assert list(wrong_with(execution, folder, RACES[race])) == [], number
    assert runner.list_managed_containers() == []
