"""Supervisors with a pool, killed: what waited for them goes, and is given to no run of the next one."""

from __future__ import annotations

import json
import random
import time
from functools import partial
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner
from botdock.config import PoolConfig
from botdock.model import Outcome
from botdock.pool import read_reports
from faults.supervisors import PATIENCE, Place
from testbed.drills import SEED, count
from testbed.waiting import until

WAITING = 2


def _members(home: Path) -> set[str]:
    return {path.name for path in home.glob("pool/*/*/")}


def _is_filled(home: Path, dead: set[str]) -> bool:
    """Tell whether a runner that is none of the dead has a full pool."""
    reports = [one for one in read_reports(home) if one.runner not in dead]
    return any([kind.waiting for kind in one.kinds] == [WAITING] for one in reports)


def _entered(place: Place, name: str) -> str:
    """Return the member that an execution went into."""
    lines = (place.executions.get(name).directory / "events.jsonl").read_text().splitlines()
    events = {event["event"]: event for event in map(json.loads, lines)}
    return str(events["entered"]["member"].partition(".")[2])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "oci"])
def test_the_pool_of_a_supervisor_that_was_killed_goes_and_the_next_one_fills_its_own(
    request: pytest.FixtureRequest, quick_folder: Path, engine: str
) -> None:
    config: Config = request.getfixturevalue(f"{engine}_config")
    place = Place(attrs.evolve(config, pool=PoolConfig(sizes={"python311": WAITING})), quick_folder)
    chance, waited, dead, names = random.Random(SEED), set[str](), set[str](), list[str]()
    try:
        for _ in range(count(10, 1)):
            supervisor = place.supervise()
            until(partial(_is_filled, place.home, dead), timeout=PATIENCE)
            names += [place.start(runtime="python311", config={"seconds": 0.2}) for _ in range(WAITING)]
            time.sleep(chance.uniform(0.0, 0.5))  # a moment by chance: it dies over claims, ends and refills
            supervisor.kill()
            supervisor.wait()
            waited |= _members(place.home)
            dead |= {path.name for path in place.home.glob("pool/*/")}
        place.supervise()
        place.ended(names)
        until(partial(_is_filled, place.home, dead), timeout=PATIENCE)
        late = [place.start(runtime="python311", config={"seconds": 0.1}) for _ in range(WAITING)]
        assert {record.outcome for record in place.ended(late)} == {Outcome.SUCCEEDED}
        assert not {_entered(place, name) for name in late} & waited
        until(lambda: not waited & _members(place.home), timeout=PATIENCE)
    finally:
        place.close()
    with DockerRunner(config) as runner:
        assert runner.recover() == []  # the folder of a dead runner's pool goes with a look after its last execution
        assert runner.leftovers() == []
        assert runner._orchestrator.containers.list_containers({"io.botdock.owner": runner._factory.owner}) == []
    assert not list(place.home.glob("pool/*"))


def test_a_supervisor_without_a_pool_removes_what_waited_for_one_that_was_killed(
    oci_config: Config, quick_folder: Path
) -> None:
    (quick_folder / "without").mkdir()
    place = Place(attrs.evolve(oci_config, pool=PoolConfig(sizes={"python311": WAITING})), quick_folder)
    without = Place(oci_config, quick_folder / "without")
    try:
        first = place.supervise()
        until(partial(_is_filled, place.home, set()), timeout=PATIENCE)
        first.kill()
        first.wait()
        assert _members(place.home)
        without.settled(without.supervise())
        until(lambda: not list(place.home.glob("pool/*")), timeout=PATIENCE)
    finally:
        place.close()
        without.close()
    with DockerRunner(oci_config) as runner:
        assert runner.leftovers() == []
        assert runner._orchestrator.containers.list_containers({"io.botdock.owner": runner._factory.owner}) == []
