"""The disk of a supervisor's state folder is full: what it cannot take is said, and all goes on once there is room."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from botdock import Config
from botdock.config import SupervisorConfig
from botdock.model import Outcome
from faults.supervisors import KEPT, PATIENCE, Place
from testbed.drills import count
from testbed.waiting import until

MIB = 1024 * 1024
FAILING = "echo once more; sleep 0.3; exit 3"


@pytest.fixture
def small_home(tmp_path: Path, mount_small: Callable[..., Path]) -> Path:
    """A state folder on a file system of 64 MiB."""
    return mount_small(tmp_path / "small", 64 * MIB)


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def place(request: pytest.FixtureRequest, tmp_path: Path, small_home: Path) -> Iterator[Place]:
    settings = SupervisorConfig(backoff=0.05, max_backoff=1.0)
    if request.param == "process":
        config = Config(engine="process", home=str(small_home), supervisor=settings)
    else:
        make: Callable[..., Config] = request.getfixturevalue("make_mounted_config")
        config = make(home=str(small_home), supervisor=settings)
    made = Place(config, tmp_path)
    yield made
    made.close()


@contextmanager
def full(home: Path) -> Iterator[None]:
    """Let a file take all the room that there is, to the last byte, and what ends and is removed leaves meanwhile."""
    ballast, is_over = home / "ballast", threading.Event()

    def keep_full(descriptor: int) -> None:
        while not is_over.wait(0.002):
            fill(descriptor)

    with ballast.open("ab", buffering=0) as file:
        fill(file.fileno())
        keeper = threading.Thread(target=keep_full, args=(file.fileno(),))
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()
            ballast.unlink()


def fill(descriptor: int) -> None:
    for size in (MIB, 4096, 1):
        with suppress(OSError):
            while True:
                os.write(descriptor, b"\0" * size)


def said_by(place: Place, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a command, and what it says on stderr."""
    command = [sys.executable, "-m", "botdock_cli", *arguments, "--config-file", str(place.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


def is_refused(place: Place) -> bool:
    """Ask for another bot, and say whether it is refused: it may come upon room that was left a moment ago."""
    code, said = said_by(place, "start", str(place.code))
    assert code in {0, 125}, said
    assert ("No space left on device" in said) is (code == 125)
    assert "Traceback" not in said
    return code == 125


def is_restarted(place: Place, known: set[str]) -> bool:
    found = place.executions.list(bot="failing")
    return any(one.execution_id not in known and one.outcome is Outcome.FAILED for one in found)


def is_running(place: Place, name: str) -> bool:
    return place.executions.get(name).state == "running"


@pytest.mark.sampled(2)
def test_a_supervisor_goes_on_once_there_is_room(place: Place, tmp_path: Path) -> None:
    (tmp_path / "failing").mkdir()
    (tmp_path / "failing" / "main.sh").write_text(FAILING)
    supervisor = place.supervise()
    place.settled(supervisor)
    failing = place.start(id="failing", file_path=str(tmp_path / "failing"), restart="always")
    for _ in range(count(10, 1)):
        silent = place.start(id="silent", config={"seconds": 3.0, "pause": 10.0})
        until(partial(is_restarted, place, {failing}), timeout=PATIENCE)
        until(partial(is_running, place, silent), timeout=PATIENCE)
        with full(place.home):
            until(partial(is_refused, place), timeout=PATIENCE)
            assert said_by(place, "ps", "-a")[0] == 0
            known = {one.execution_id for one in place.executions.list()}
        until(partial(is_restarted, place, known), timeout=PATIENCE)
        assert place.executions.wait(silent, timeout=PATIENCE).outcome in {
            Outcome.SUCCEEDED,
            Outcome.FAILED,
            Outcome.INFRASTRUCTURE_ERROR,
        }
    started = [one.execution_id for one in place.executions.list(running=True) if one.id != "failing"]
    assert said_by(place, "stop", failing, *started)[0] == 0
    until(lambda: not list(place.home.glob("requests/*.json")), timeout=PATIENCE)
    assert place.executions.list(running=True) == []
    assert supervisor.poll() is None
    assert "Traceback" not in place.said(supervisor)
    for record in place.executions.list():
        assert {path.name for path in record.directory.iterdir()} <= KEPT
    assert list(place.home.glob("process/*")) == []
