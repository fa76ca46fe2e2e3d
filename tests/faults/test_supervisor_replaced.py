"""A supervisor is replaced while its bots run: none is stopped, no byte is lost, a follower sees all."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock import Config
from botdock.model import Stream
from faults.supervisors import PATIENCE, Place, steps, stored
from testbed.drills import FULL, count
from testbed.waiting import until

BOTS = 10


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    make: Callable[[], Config] = request.getfixturevalue(request.param)
    made = Place(make(), tmp_path)
    yield made
    made.close()


@pytest.fixture
def on_process(tmp_path: Path) -> Callable[[], Config]:
    return lambda: Config(engine="process", home=str(tmp_path / "home"))


@pytest.fixture
def on_docker(request: pytest.FixtureRequest) -> Callable[[], Config]:
    make: Callable[[], Config] = request.getfixturevalue("make_docker_config")
    return make


@pytest.mark.parametrize("place", ["on_process", pytest.param("on_docker", marks=pytest.mark.docker)], indirect=True)
def test_an_upgrade_under_load_stops_no_bot_and_loses_no_byte(place: Place) -> None:
    rounds = count(6, 2)
    supervisor = place.supervise()
    place.settled(supervisor)
    seconds = 3.0 * rounds
    names = [place.start(id=f"bot-{number}", config={"seconds": seconds}) for number in range(BOTS)]
    follower = subprocess.Popen(
        [sys.executable, "-m", "botdock_cli", "logs", "-f", "--raw", "bot-0", "--config-file", str(place.config_file)],
        stdout=subprocess.PIPE,
    )
    until(lambda: all(place.executions.get(name).state in {"running", "ended"} for name in names), timeout=PATIENCE)
    for number in range(rounds):
        if number % 2:
            supervisor.send_signal(signal.SIGTERM)
            successor = place.supervise("--replace")
        else:
            successor = place.supervise("--replace")
        assert supervisor.wait(PATIENCE) == 0, place.said(supervisor)
        supervisor = successor
        place.settled(supervisor)
        names.append(place.start(id="late", config={"seconds": 0.1}))
    followed, _ = follower.communicate(timeout=PATIENCE)
    assert list(place.problems(names)) == []
    assert follower.returncode == 0
    assert followed.decode() == stored(place.executions.get(names[0]), Stream.STDOUT)
    taken = [steps(place.executions.get(name)).count("recovered") for name in names[:BOTS]]
    print(f"\n{rounds} upgrades of {BOTS} bots: each taken over {min(taken)} to {max(taken)} times")
    assert max(taken) >= 1 or not FULL, "on a busy machine, all may have ended before the first upgrade"
