"""How bots end, and that nothing of one is left on the machine, whichever process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.model import ContainerHandle, ContainerState
from botdock.shim._program import files
from botdock_engine_oci.engine import OciEngine
from testbed.waiting import until

CALL = 60.0
Start = Callable[..., ContainerHandle]

READY = "\nuntil [ -e /tmp/left ]; do sleep 0.01; done; rm /tmp/left; "
LEFT = READY.join(
    (
        "(trap '' TERM HUP INT; touch /tmp/left; while :; do sleep 1; done) &",
        "setsid sh -c 'touch /tmp/left; exec sleep 600' &",
        "(setsid sh -c 'touch /tmp/left; exec sleep 600' &) &",
        "setsid sh -c 'touch /tmp/left; kill -STOP $$' &",
        "",
    )
)
"""Leaves processes behind that do much not to be found."""
FORKS = "forks() { forks & forks; }; forks 2>/dev/null & echo up; exec sleep 600"
"""Forks without end, but for the main program: a shell that may not fork ends by itself, with 2."""


def test_a_signal_of_its_own_ends_a_plain_bot(run: Any) -> None:
    ran = run("kill -KILL $$")
    assert (ran.status.exit_code, ran.status.signal, ran.stderr) == (137, None, b"")


def test_a_bot_without_a_handler_ends_with_the_request_to_stop(engine: OciEngine, start: Start) -> None:
    container = start("echo up; exec sleep 600")
    engine.stop(container, grace=CALL, timeout=CALL)
    assert engine.inspect(container, timeout=CALL).exit_code == 143


def test_a_stop_reaches_every_process(engine: OciEngine, start: Start) -> None:
    hears = "trap 'touch /tmp/heard-\\$0; exit' TERM; touch /tmp/left; while :; do sleep 0.01; done"
    waits = "until [ -e /tmp/heard-1 ] && [ -e /tmp/heard-2 ]; do sleep 0.01; done; exit 3"
    others = READY.join(f'setsid sh -c "{hears}" {number} &' for number in (1, 2))
    container = start(f"{others}{READY} trap '{waits}' TERM; echo up; while :; do sleep 0.01; done")
    engine.stop(container, grace=CALL, timeout=CALL)
    assert engine.inspect(container, timeout=CALL).exit_code == 3


def test_orphans_are_reaped(run: Any) -> None:
    script = (
        "for n in 1 2 3; do (setsid true &); done; while grep -l '^State:.Z' /proc/[0-9]*/status; do sleep 0.01; done"
    )
    assert run(script).status.exit_code == 0


def test_the_end_of_the_bot_is_that_of_all_it_started(engine: OciEngine, run: Any, machine: Any) -> None:
    assert run(f"{LEFT} exit 3").status.exit_code == 3
    assert machine.living() == []


def test_it_is_recorded_that_memory_was_not_too_much(run: Any, machine: Any) -> None:
    assert machine.record(run("true").container, files.EXIT)["oom_killed"] is False


@pytest.mark.parametrize("script", [f"{LEFT} echo up; exec sleep 600", FORKS], ids=["what it leaves", "a fork bomb"])
def test_a_stop_without_grace_ends_all_of_it_and_a_removal_leaves_nothing(
    engine: OciEngine, start: Start, machine: Any, script: str
) -> None:
    container = start(script)
    engine.stop(container, grace=0.0, timeout=CALL)
    assert (engine.inspect(container, timeout=CALL).exit_code, machine.living()) == (137, [])
    engine.remove(container, timeout=CALL)
    assert machine.left(container) == []


def test_a_removal_kills_and_leaves_nothing(engine: OciEngine, start: Start, machine: Any) -> None:
    container = start(f"{LEFT} echo up; exec sleep 600")
    assert machine.living()
    engine.remove(container, timeout=CALL)
    assert machine.left(container) == []


def test_a_bot_whose_shim_is_killed_is_lost_and_its_removal_leaves_nothing(
    engine: OciEngine, start: Start, machine: Any
) -> None:
    container = start(f"{LEFT} echo up; exec sleep 600")
    os.kill(machine.record(container, files.SHIM)["pid"], signal.SIGKILL)
    until(lambda: engine.inspect(container, timeout=CALL).state is ContainerState.EXITED)
    assert engine.inspect(container, timeout=CALL).exit_code is None
    engine.remove(container, timeout=CALL)
    assert machine.left(container) == []


def test_no_record_of_the_bot_is_needed_to_kill_it(engine: OciEngine, start: Start, machine: Any) -> None:
    container = start(f"{LEFT} echo up; exec sleep 600")
    os.kill(machine.record(container, files.SHIM)["pid"], signal.SIGKILL)
    until(lambda: engine.inspect(container, timeout=CALL).state is ContainerState.EXITED)
    (machine.state / container.id / files.BOT).unlink()
    engine.remove(container, timeout=CALL)
    assert machine.left(container) == []


def test_what_a_killed_runtime_left_mounted_is_unmounted_and_what_it_showed_stays(
    engine: OciEngine, start: Start, machine: Any, tmp_path: Path
) -> None:
    container = start("echo up; exec sleep 600")
    shown, place = tmp_path / "shown", machine.state / container.id / "a place"
    for folder in (shown, place):
        folder.mkdir()
    (shown / "file").touch()
    for _ in range(2):
        subprocess.run(["mount", "--bind", str(shown), str(place)], check=True)
    engine.remove(container, timeout=CALL)
    assert machine.left(container) == []
    assert (shown / "file").exists()
