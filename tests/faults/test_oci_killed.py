"""The shim, the runtime or the runner of an oci bot is killed at any moment of its start: nothing is left for good."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from botdock.errors import BotdockError
from botdock.model import ContainerHandle, new_execution_id
from botdock.shim._program import files
from botdock_engine_oci.cgroups import folders_of
from botdock_engine_oci.engine import OciEngine
from botdock_testing.engine import Asked, asked, replaced
from testbed.drills import SEED, count
from testbed.processes import read_or_empty
from testbed.waiting import until

KILLS = count(300, 4)
CALL = 60.0
LONGEST = 0.12
"""Seconds after the beginning of a start in which the kill falls; most are over before."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OciEngine]:
    if os.geteuid() != 0:
        pytest.skip("the cgroups of this machine are root's")
    if not (shutil.which("runc") or shutil.which("crun")):
        pytest.skip("neither crun nor runc is installed")
    engine = OciEngine(tmp_path / "state")
    yield engine
    for info in engine.list({}, timeout=CALL):
        engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)


def spec_of(folder: Path, mark: str) -> Asked:
    result = folder / f"result-{mark}"
    result.touch()
    command = ("/bin/sh", "-c", "(setsid sleep 600 &); echo up; exec sleep 600", "sh")
    name = f"botdock-{mark}"
    return replaced(asked(folder, name=name, command=command, result=str(result)), environment={"MARK": mark})


def victim(state: Path, container: ContainerHandle, which: str) -> int:
    """Return the shim of a container, or what it has started: the runtime, and later the bot."""
    record: dict[str, Any] = files.read_record(str(state / container.id / which)) or {}
    return int(record.get("pid", 0))


def is_gone(state: Path, container: ContainerHandle, mark: str) -> bool:
    """Whether there is nothing of a container: processes, mounts, cgroups, folders."""
    told = {
        path: read_or_empty(path / "environ") + read_or_empty(path / "cmdline") for path in Path("/proc").glob("[0-9]*")
    }
    left = [
        *(str(read_or_empty(path / "cmdline")) for path, text in told.items() if mark.encode() in text),
        *(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(state) in line),
        *(folder for folder in folders_of(container.id) if Path(folder).exists()),
        *(str(path) for path in state.iterdir()),
    ]
    return not left


def kill_while_it_starts(engine: OciEngine, container: ContainerHandle, state: Path, which: str, delay: float) -> None:
    def start() -> None:
        with suppress(BotdockError):
            engine.start(container, timeout=CALL)

    thread = Thread(target=start)
    thread.start()
    until(lambda: victim(state, container, which))
    time.sleep(delay)  # the moment of the kill; nothing depends on which it is
    with suppress(ProcessLookupError):
        os.kill(victim(state, container, which), signal.SIGKILL)
    thread.join(CALL)
    assert not thread.is_alive()


@pytest.mark.parametrize("which", [files.SHIM, files.BOT])
def test_whatever_is_killed_while_it_starts_nothing_is_left(engine: OciEngine, tmp_path: Path, which: str) -> None:
    chance, state = random.Random(SEED), tmp_path / "state"
    for _ in range(KILLS):
        mark = new_execution_id()
        container = engine.create(*spec_of(tmp_path, mark), timeout=CALL)
        kill_while_it_starts(engine, container, state, which, chance.uniform(0, LONGEST))
        engine.remove(container, timeout=CALL)
        until(partial(is_gone, state, container, mark))  # what a runtime has just forked ends by itself
