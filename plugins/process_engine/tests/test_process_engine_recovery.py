"""Runners and shims that die, and what their successors find."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError, EngineTimeoutError
from botdock.model import ContainerHandle, ContainerState, LogCursor, Stream
from botdock.shim import _container as folders
from botdock.shim._process import ALONE, is_alive, kill_process, python_command, wait_for_end
from botdock.shim._program import files
from botdock.shim._program.files import identity_of
from botdock_engine_process.engine import ProcessEngine
from testbed.waiting import until

CALL = 30.0

RUNNER = """
import os, pathlib, pickle, signal, sys
from botdock_engine_process.engine import ProcessEngine

engine = ProcessEngine(pathlib.Path(sys.argv[1]), warn=lambda _: None)
container = engine.create(*pickle.loads(bytes.fromhex(sys.argv[2])), timeout=30)
stream = engine.attach(container, timeout=30)
engine.start(container, timeout=30)
while not stream.read(30):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_and_die(state: Path, spec: Any) -> None:
    """Start a container in a runner that is killed as soon as it has seen the first output."""
    import pickle

    command = [sys.executable, "-c", RUNNER, str(state), pickle.dumps(spec).hex()]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL


def test_a_bot_outlives_its_runner_and_a_successor_has_all_of_it(
    engine: ProcessEngine, state: Path, tmp_path: Path, shell_spec: Any
) -> None:
    spec = shell_spec("echo before; until [ -e go ]; do sleep 0.01; done; printf after; exit 9")
    start_and_die(state, spec)
    assert engine.inspect(ContainerHandle(id=spec.run.name), timeout=CALL).state is ContainerState.RUNNING
    container = ContainerHandle(id=spec.run.name)
    with engine.read_logs(container, cursor=LogCursor(stdout=3), follow=True, timeout=CALL) as stream:
        assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"ore\n"
        (tmp_path / "go").touch()
        rest = b""
        while not stream.ended:
            rest += b"".join(chunk.data for chunk in stream.read(CALL))
    assert rest == b"after"
    status = engine.wait(ContainerHandle(id=spec.run.name), timeout=CALL)
    assert status is not None
    assert status.exit_code == 9


def test_a_bot_that_ended_while_nobody_looked_is_known(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    spec = shell_spec("echo all there is; exit 5")
    start_and_die(state, spec)
    until(lambda: engine.inspect(ContainerHandle(id=spec.run.name), timeout=CALL).state is ContainerState.EXITED)
    assert engine.inspect(ContainerHandle(id=spec.run.name), timeout=CALL).exit_code == 5


def test_a_bot_runs_to_its_end_although_its_runner_died_before_it_heard_of_the_start(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = engine.create(*shell_spec("echo all there is; exit 5"), timeout=CALL)
    unread, answer = os.pipe()
    os.close(unread)
    try:
        subprocess.run(python_command(ALONE, str(state / container.id)), stdout=answer, check=True, timeout=CALL)
    finally:
        os.close(answer)
    until(lambda: engine.inspect(container, timeout=CALL).state is ContainerState.EXITED)
    status = engine.inspect(container, timeout=CALL)
    assert (status.exit_code, status.error) == (5, "")
    with engine.read_logs(container, cursor=LogCursor(), follow=False, timeout=CALL) as stream:
        assert b"".join(chunk.data for chunk in stream.read(CALL)) == b"all there is\n"


def test_a_successor_removes_the_temporary_folder_of_a_bot(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    spec = shell_spec("touch $TMPDIR/a; echo up; exec sleep 600")
    start_and_die(state, spec)
    container = ContainerHandle(id=spec.run.name)
    temporary = Path(record(state, container, folders.MADE)["temporary"])
    assert list(temporary.iterdir()) == [temporary / "a"]
    os.kill(record(state, container, files.SHIM)["pid"], signal.SIGKILL)
    engine.remove(container, timeout=CALL)
    assert not temporary.exists()


def test_a_dead_shim_is_noticed_and_its_bot_killed(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("echo ready; exec sleep 600"), timeout=CALL)
    stream = engine.attach(container, timeout=CALL)
    engine.start(container, timeout=CALL)
    assert [(chunk.stream, chunk.data) for chunk in stream.read(CALL)] == [(Stream.STDOUT, b"ready\n")]
    bot = record(state, container, "bot.json")
    os.kill(record(state, container, files.SHIM)["pid"], signal.SIGKILL)
    while not stream.ended:
        assert list(stream.read(CALL)) == []
    stream.close()
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert (status.state, status.exit_code) == (ContainerState.EXITED, None)
    assert "shim died" in status.error
    assert is_alive(bot)
    engine.remove(container, timeout=CALL)
    until(lambda: not is_alive(bot))


def test_a_shim_that_is_told_to_end_stops_its_bot(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    container = started(engine, shell_spec("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 1 & wait; done"))
    os.kill(record(state, container, files.SHIM)["pid"], signal.SIGTERM)
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert status.exit_code == 3


def test_a_shim_that_does_not_answer_is_killed(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    container = started(engine, shell_spec("echo up; exec sleep 600"))
    shim, bot = (record(state, container, name) for name in (files.SHIM, "bot.json"))
    os.kill(shim["pid"], signal.SIGSTOP)
    with pytest.raises(EngineTimeoutError, match="has not ended"):
        engine.stop(container, grace=0.0, timeout=0.1)
    engine.remove(container, timeout=0.1)
    until(lambda: not is_alive(shim) and not is_alive(bot))


def test_a_later_process_of_the_same_number_is_never_killed() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        identity = identity_of(process.pid)
        kill_process({"pid": process.pid, "identity": "an earlier one"})
        wait_for_end({"pid": process.pid, "identity": "an earlier one"}, 1000.0)
        assert is_alive({"pid": process.pid, "identity": identity})
        kill_process({"pid": process.pid, "identity": identity})
        assert process.wait(CALL) == -signal.SIGKILL


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert identity_of(process.pid) is None


@pytest.mark.parametrize("kernel", ["without pidfd", "older than 5.3"])
def test_without_pidfd_the_end_is_polled_for(
    engine: ProcessEngine, shell_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    if kernel == "without pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(os, "pidfd_open", lambda _: (tmp_path / "no such system call").stat())
    container = started(engine, shell_spec("echo up; until [ -e go ]; do sleep 0.01; done; exit 8"))
    assert engine.wait(container, timeout=0.05) is None
    (tmp_path / "go").touch()
    status = engine.wait(container, timeout=CALL)
    assert status is not None
    assert status.exit_code == 8


def test_a_python_that_does_not_know_itself_starts_nothing(
    engine: ProcessEngine, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ContainerError, match="does not know where its own program is"):
        engine.start(container, timeout=CALL)


def test_a_shim_that_crashes_at_its_start_says_how(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    (state / container.id / "plan.json").write_text("{}")
    with pytest.raises(ContainerError, match=r"the shim crashed: [^$]*KeyError"):
        engine.start(container, timeout=CALL)


def test_a_shim_that_crashes_without_a_word_names_its_folder(
    engine: ProcessEngine, state: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ContainerError, match=f"the shim crashed: nothing is told in {state / container.id}"):
        engine.start(container, timeout=CALL)


def test_a_container_whose_memory_the_machine_lost_is_not_listed(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    (state / container.id / "made.json").unlink()
    assert list(engine.list({}, timeout=CALL)) == []
    engine.remove(container, timeout=CALL)
    assert list(state.iterdir()) == []


def test_a_grace_of_months_is_no_trouble(engine: ProcessEngine, shell_spec: Any) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 1 & wait; done"
    container = started(engine, shell_spec(script))
    engine.stop(container, grace=1e8, timeout=CALL)
    assert engine.inspect(container, timeout=CALL).exit_code == 3


def test_wait_for_one_that_has_not_begun_returns_none(engine: ProcessEngine, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    assert engine.wait(container, timeout=0.05) is None


def test_what_a_runner_left_half_made_is_swept(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    old, fresh = state / ".new-old", state / ".gone-fresh"
    for place in (old, fresh):
        (place / "home").mkdir(parents=True)
    temporary = state.parent / "temporary"
    temporary.mkdir()
    files.write_record(str(old / folders.MADE), {"temporary": str(temporary)})
    long_ago = time.time() - 2 * folders.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    container = engine.create(*shell_spec("true"), timeout=CALL)
    assert [info.container_id for info in engine.list({}, timeout=CALL)] == [container.id]
    assert not old.exists()
    assert not temporary.exists()
    assert fresh.exists()


def test_a_create_that_fails_half_way_leaves_nothing(
    engine: ProcessEngine, state: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("botdock.shim._program.files.write_record", disk_full)
    with pytest.raises(ContainerError, match=r"cannot create container .*: .*No space left on device"):
        engine.create(*shell_spec("true"), timeout=CALL)
    assert list(state.iterdir()) == []


def test_a_folder_that_cannot_be_renamed_leaves_nothing(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    state.mkdir()
    spec = shell_spec("true")
    (state / spec.run.name).write_text("a file where a folder should be")
    with pytest.raises(ContainerError):
        engine.create(*spec, timeout=CALL)
    assert [path.name for path in state.iterdir()] == [spec.run.name]


def test_removal_wakes_who_reads_the_log(engine: ProcessEngine, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("true"), timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        engine.remove(container, timeout=CALL)
        assert list(stream.read(CALL)) == []
        assert stream.ended


def started(engine: ProcessEngine, spec: Any) -> ContainerHandle:
    container = engine.create(*spec, timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        assert stream.read(CALL), "it said nothing"
    return container


def record(state: Path, container: ContainerHandle, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((state / container.id / name).read_text())
    return loaded


def test_a_fifo_that_is_full_has_been_heard_of(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert not folders.tell(tmp_path / "fifo", b"!"), "it has no reader"
    descriptor = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(20):
        assert folders.tell(tmp_path / "fifo", b"!" * 4096), "whether or not it fits"
    os.close(descriptor)


def test_what_a_bot_left_at_home_is_removed_however_deep_and_closed_it_is(
    engine: ProcessEngine, state: Path, shell_spec: Any
) -> None:
    nest = """import os
for _ in range(3000):
    os.mkdir("d"); os.chdir("d")
os.chmod(".", 0)"""
    spec = shell_spec(f"cd && exec {sys.executable} -c '{nest}'")
    container = engine.create(*spec, timeout=CALL)
    engine.start(container, timeout=CALL)
    assert engine.wait(container, timeout=CALL) is not None
    engine.remove(container, timeout=CALL)
    assert list(state.iterdir()) == []
