"""The end of a bot is that of each process that it has started, whatever that has done to outlive it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import EngineTimeoutError
from botdock.model import ContainerHandle, ContainerState
from botdock.shim._process import ShimEvents
from botdock.shim._program import files, processes
from botdock_engine_process.engine import ProcessEngine
from testbed.waiting import until

CALL = 30.0
Start = Callable[..., ContainerHandle]

DAEMON = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("left", "w").close()
        signal.pause()
    os._exit(0)
os.wait()
"""
COMET = """
while os.path.exists("burns"):
    if os.fork():
        os._exit(0)
    os.setsid()
"""
LEFT = {
    "in the background": "(touch left; exec sleep 600) &",
    "ignores signals": "(trap '' TERM HUP INT; touch left; while :; do sleep 1; done) &",
    "nohup": "nohup sh -c 'touch left; exec sleep 600' >/dev/null 2>&1 &",
    "a session of its own": "setsid sh -c 'touch left; exec sleep 600' &",
    "a session in a session": "setsid sh -c '(exec setsid sh -c \"touch left; exec sleep 600\") & exec sleep 600' &",
    "a daemon": f"{sys.executable} -c '{DAEMON}'",
    "stopped": "setsid sh -c 'touch left; kill -STOP $$' &",
}
WAIT = "\nuntil [ -e left ]; do sleep 0.01; done; rm left; "
ALL = WAIT.join(LEFT.values()) + WAIT


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def start(engine: ProcessEngine, shell_spec: Any, mark: str) -> Start:
    """Return a function that starts a script; once it says something, it has left all that it is to leave."""

    def start_script(script: str, **overrides: object) -> ContainerHandle:
        container = engine.create(*shell_spec(script, environment={"MARK": mark}, **overrides), timeout=CALL)
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            assert stream.read(CALL), "it said nothing"
        return container

    return start_script


def living(mark: str) -> list[str]:
    """Return the commands of the processes that have inherited a mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().decode())
    return found


def shim_of(state: Path, container: ContainerHandle) -> int:
    pid: int = json.loads((state / container.id / files.SHIM).read_text())["pid"]
    return pid


@pytest.mark.parametrize("script", LEFT.values(), ids=LEFT)
def test_what_a_bot_leaves_running_is_dead_when_its_end_is_known(
    engine: ProcessEngine, start: Start, mark: str, script: str
) -> None:
    container = start(f"{script}{WAIT} echo up; until [ -e go ]; do sleep 0.01; done; exit 3")
    assert len(living(mark)) > 1
    Path(engine._state.parent / "go").touch()
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert (status.exit_code, status.error, living(mark)) == (3, "", [])


def test_what_passes_the_bots_output_on_may_finish_that(run: Any, shell_spec: Any) -> None:
    ran = run(shell_spec("exec bash -c 'exec > >(cat); seq 20000'"))
    assert ran.stdout == b"".join(b"%d\n" % number for number in range(1, 20_001))


def test_what_goes_on_printing_is_killed(run: Any, shell_spec: Any) -> None:
    began = time.monotonic()
    assert run(shell_spec("while :; do echo x; sleep 0.01; done & exit 3")).status.exit_code == 3
    assert time.monotonic() - began < CALL


def test_a_stop_ends_all_of_it(engine: ProcessEngine, start: Start, mark: str) -> None:
    container = start(f"trap 'exit 3' TERM; {ALL} echo up; while :; do sleep 0.01; done")
    engine.stop(container, grace=CALL, timeout=CALL)
    assert (engine.inspect(container, timeout=CALL).exit_code, living(mark)) == (3, [])


def test_a_grace_that_is_over_ends_all_of_it(engine: ProcessEngine, start: Start, mark: str) -> None:
    container = start(f"trap '' TERM; {ALL} echo up; while :; do sleep 0.01; done")
    engine.stop(container, grace=0.05, timeout=CALL)
    assert (engine.inspect(container, timeout=CALL).exit_code, living(mark)) == (137, [])


def test_a_removal_ends_all_of_it(engine: ProcessEngine, start: Start, mark: str) -> None:
    engine.remove(start(f"{ALL} echo up; exec sleep 600"), timeout=CALL)
    assert living(mark) == []


def test_so_it_does_where_the_shim_does_not_answer(engine: ProcessEngine, state: Path, start: Start, mark: str) -> None:
    container = start(f"{ALL} echo up; exec sleep 600")
    os.kill(shim_of(state, container), signal.SIGSTOP)
    with pytest.raises(EngineTimeoutError, match="has not ended"):
        engine.stop(container, grace=0.0, timeout=0.1)
    engine.remove(container, timeout=0.1)
    assert living(mark) == []


def test_what_is_still_below_the_bot_is_killed_though_its_shim_is_dead(
    engine: ProcessEngine, state: Path, start: Start, mark: str
) -> None:
    container = start(f"{LEFT['a session of its own']}{WAIT}{LEFT['ignores signals']}{WAIT} echo up; exec sleep 600")
    os.kill(shim_of(state, container), signal.SIGKILL)
    until(lambda: engine.inspect(container, timeout=CALL).state is ContainerState.EXITED)
    engine.remove(container, timeout=CALL)
    until(lambda: not living(mark))


def test_each_process_hears_of_a_stop_once(engine: ProcessEngine, start: Start, tmp_path: Path) -> None:
    hears = "trap 'echo heard >>heard' TERM; touch left; while :; do sleep 0.01; done"
    scripts = [f"({hears}) &", f'setsid sh -c "{hears}" &', f'setsid sh -c "({hears}) & {hears}" &']
    own = "trap 'echo heard >>heard' TERM; echo up; until [ $(wc -l <heard) -ge 5 ]; do sleep 0.01; done"
    (tmp_path / "heard").touch()
    container = start(f"{WAIT.join(scripts)}{WAIT} {own}")
    engine.stop(container, grace=CALL, timeout=CALL)
    assert (tmp_path / "heard").read_text() == "heard\n" * 5


def test_its_temporary_folder_is_locked_while_it_runs(engine: ProcessEngine, start: Start, state: Path) -> None:
    container = start("echo up; exec sleep 600")
    made = json.loads((state / container.id / "made.json").read_text())
    folder = os.open(made["temporary"], os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        engine.stop(container, grace=0.0, timeout=CALL)
        fcntl.flock(folder, fcntl.LOCK_EX)
    finally:
        os.close(folder)


def test_orphans_that_end_are_reaped(engine: ProcessEngine, state: Path, start: Start) -> None:
    container = start("for n in 1 2 3; do (setsid sh -c 'sleep 0.01' &); done; echo up; exec sleep 600")
    until(lambda: len(processes.processes_below(shim_of(state, container))) == 1)
    assert engine.inspect(container, timeout=CALL).state is ContainerState.RUNNING


@pytest.mark.parametrize(
    "again", ["sh comet.sh &", "setsid sh comet.sh &", f"{sys.executable} -ISc 'import os\n{COMET}' &"]
)
def test_what_forks_and_ends_all_the_time_is_killed(
    engine: ProcessEngine, start: Start, mark: str, tmp_path: Path, again: str
) -> None:
    comet, burns = tmp_path / "comet.sh", tmp_path / "burns"
    comet.write_text(f"[ -e burns ] && {again}\n")
    burns.touch()
    container = start("for n in 1 2 3; do sh comet.sh; done; echo up; sleep 0.1")
    try:
        assert engine.wait(container, timeout=CALL) is not None
        assert not any(living(mark) for _ in range(20))  # each one lives shorter than one look takes
    finally:
        burns.unlink()


def test_what_cannot_be_killed_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "processes_below", lambda _: [os.getpid()])  # which is never signalled
    monkeypatch.setattr(processes, "KILL_SECONDS", 0.05)
    began = time.monotonic()
    processes.kill_below(1)
    assert time.monotonic() - began >= 0.05


def test_without_the_kernels_list_there_is_nothing_below() -> None:
    assert processes.processes_below(4_194_305) == []  # above the kernel's largest number


def test_an_end_between_a_look_and_its_watch_is_seen_by_that_look(
    engine: ProcessEngine, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = ShimEvents.watch

    def late(events: ShimEvents, name: str, shim: Mapping[str, Any] | None) -> None:
        engine.stop(container, grace=0.0, timeout=CALL)
        watch(events, name, shim)

    events = engine.events({}, timeout=CALL)
    assert events is not None
    with closing(events):
        container = engine.create(*shell_spec("sleep 600"), timeout=CALL)
        engine.start(container, timeout=CALL)
        monkeypatch.setattr(ShimEvents, "watch", late)
        assert engine.wait(container, timeout=0.0) is not None, "no event will tell of it"
