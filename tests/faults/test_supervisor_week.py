"""A week in minutes: bots that are restarted every few seconds, and a supervisor that takes no more for it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from botdock import Config
from botdock.config import RetentionConfig, SupervisorConfig
from botdock.executions._files import folder_bytes
from faults.supervisors import PATIENCE, Place
from testbed.drills import count
from testbed.waiting import until, wait_until

BOTS = count(20, 6)
IDLE = 12
"""Descriptors and threads of a supervisor whose engine is open, and under which nothing runs."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class Taken:
    """What a process has at one moment."""

    descriptors: int
    threads: int
    memory: int

    @classmethod
    def by(cls, pid: int) -> Taken:
        process = Path(f"/proc/{pid}")
        memory = int((process / "statm").read_text().split()[1]) * PAGE
        return cls(len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), memory)

    @classmethod
    def most(cls, samples: list[Taken]) -> Taken:
        return cls(*(max(values) for values in zip(*map(attrs.astuple, samples), strict=True)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    often = SupervisorConfig(backoff=0.5, max_backoff=4.0)
    config = Config(engine="process", home=str(tmp_path / "home"), supervisor=often, retention=RetentionConfig(keep=50))
    made = Place(config, tmp_path)
    (made.code / "bot.py").unlink()
    (made.code / "main.sh").write_text("echo $$; exec sleep 0.2")
    yield made
    made.close()


def test_bots_that_are_restarted_all_the_time_leave_no_more_and_no_more_taken(place: Place) -> None:
    seconds = count(600, 6)
    supervisor = place.supervise()
    place.settled(supervisor)
    before = Taken.by(supervisor.pid)
    for number in range(BOTS):
        place.start(id=f"bot-{number}", restart="always")
    until(lambda: len(place.executions.list()) > 2 * BOTS, timeout=PATIENCE)
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append(Taken.by(supervisor.pid))
        time.sleep(0.25)  # between two looks
    third = len(samples) // 3
    early, late = Taken.most(samples[third : 2 * third]), Taken.most(samples[2 * third :])
    for number in range(BOTS):  # each once, whatever its bot is doing just now
        place.executions.stop(f"bot-{number}", grace=0.1, timeout=PATIENCE)
    assert wait_until(lambda: not place.executions.list(running=True), timeout=PATIENCE), [
        (one, place.executions.events(one.execution_id)) for one in place.executions.list(running=True)
    ]
    until(lambda: not list((place.home / "requests").glob("*.json")), timeout=PATIENCE)
    rows = place.executions.list()
    print(
        f"\n{len(rows)} executions of {BOTS} bots in {seconds} s: at first {before}, then at most {early}, then {late}"
    )
    followed = Counter(one.previous for one in rows if one.previous)
    assert max(followed.values()) == 1
    assert Counter(one.outcome for one in rows).keys() <= {"succeeded", "stopped"}
    assert late.memory <= early.memory * 1.2
    until(lambda: Taken.by(supervisor.pid).descriptors <= before.descriptors + IDLE, timeout=PATIENCE)
    until(lambda: Taken.by(supervisor.pid).threads <= before.threads + IDLE, timeout=PATIENCE)
    place.close()
    rest = {path.name: folder_bytes(path) for path in place.home.iterdir() if path.is_dir()}
    assert len(place.executions.list()) <= 50
    assert max(size for name, size in rest.items() if name != "executions") < 2**20, rest
