"""What a bot of the process engine sees, may do, and leaves behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError
from botdock.model import DEFAULT_LIMITS, ContainerHandle, ContainerState
from botdock.model.limits import MIB
from botdock_engine_process.engine import ProcessEngine

CALL = 30.0
Run = Callable[[Any], Any]


def limits(**given: int) -> Any:
    return attrs.evolve(DEFAULT_LIMITS, **given)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1])
def test_a_death_by_signal_is_told_from_an_exit(run: Run, shell_spec: Any, number: signal.Signals) -> None:
    status = run(shell_spec(f"kill -{number.value} $$")).status
    assert (status.exit_code, status.signal) == (128 + number, number)


def test_a_program_that_only_writes_meets_the_end_of_its_reader_by_sigpipe(run: Run, shell_spec: Any) -> None:
    assert run(shell_spec("yes | head -n 2")).stdout == b"y\ny\n"


def test_standard_input_is_empty(run: Run, shell_spec: Any) -> None:
    assert run(shell_spec("cat; echo done")).stdout == b"done\n"


def test_home_and_temp_are_folders_of_the_run(run: Run, engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    ran = run(shell_spec('touch "$HOME/a" "$TMPDIR/b" && echo "$HOME" && echo "$TMPDIR"'))
    home, temp = map(Path, ran.stdout.decode().split())
    assert home.parent == state / ran.container.id
    assert (len(str(temp)) <= 54, temp.stat().st_mode & 0o777) == (True, 0o700)
    engine.remove(ran.container, timeout=CALL)
    assert not home.exists()
    assert not temp.exists()
    assert list(state.iterdir()) == []


def test_a_temp_of_this_machine_whose_name_is_long_is_not_the_bots(
    run: Run, shell_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 40)))
    assert run(shell_spec('echo "$TMPDIR"')).stdout.startswith(b"/tmp/botdock-")


def test_a_temp_that_cannot_be_made_is_named(
    engine: ProcessEngine, shell_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    container = engine.create(*shell_spec("true"), timeout=CALL)
    with pytest.raises(ContainerError, match=r"cannot make the folder /proc/botdock-[0-9a-f]+: No such file"):
        engine.start(container, timeout=CALL)


def test_variables_of_the_spec_win(run: Run, shell_spec: Any) -> None:
    ran = run(shell_spec('echo "$HOME $LANG"', environment={"HOME": "/nowhere"}))
    assert ran.stdout == b"/nowhere C.UTF-8\n"


def test_limits_are_set(run: Run, shell_spec: Any) -> None:
    given = limits(open_files=77, file_size=1 * MIB, memory=64 * MIB, pids=2)
    ran = run(shell_spec("ulimit -n; ulimit -f; ulimit -d; ulimit -c", limits=given))
    blocks = 1 * MIB // 512
    assert ran.stdout.split() == [b"77", b"%d" % blocks, b"%d" % (80 * 1024), b"0"]


def test_a_file_beyond_the_limit_is_refused(run: Run, shell_spec: Any) -> None:
    script = 'trap "" XFSZ; head -c 3000000 /dev/zero > "$TMPDIR/big" || echo refused; wc -c < "$TMPDIR/big"'
    assert run(shell_spec(script, limits=limits(file_size=1 * MIB))).stdout.split() == [b"refused", b"%d" % MIB]


def test_a_limit_above_the_machines_own_is_that_of_the_machine(run: Run, shell_spec: Any) -> None:
    ran = run(shell_spec("ulimit -n", limits=limits(open_files=1_048_576)))
    assert 0 < int(ran.stdout) <= 1_048_576


def test_a_flood_of_output_is_stopped_and_bounded(run: Run, state: Path, shell_spec: Any) -> None:
    ran = run(shell_spec("yes", limits=limits(output=100_000)))
    assert len(ran.stdout) == 100_000 + MIB
    assert ran.status.output_limited
    assert ran.status.error.startswith("output limit: it wrote more than 100000 bytes")
    assert ran.status.signal == signal.SIGKILL


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"command": ("no-such-program",)}, "cannot run no-such-program: No such file"),
        ({"command": ("/etc/passwd",)}, "cannot run /etc/passwd: Permission denied"),
        ({"code": "/etc/passwd"}, "cannot enter the folder /etc/passwd: Not a directory"),
    ],
)
def test_a_start_that_fails_says_why(
    engine: ProcessEngine, shell_spec: Any, overrides: dict[str, object], words: str
) -> None:
    container = engine.create(*shell_spec("", **overrides), timeout=CALL)
    with pytest.raises(ContainerError, match=words) as caught:
        engine.start(container, timeout=CALL)
    assert (caught.value.engine, caught.value.operation) == ("process", "start")
    status = engine.inspect(container, timeout=CALL)
    assert (status.state, status.exit_code, status.started_at) == (ContainerState.EXITED, None, None)
    assert words in status.error


def test_an_interpreter_that_is_not_there_is_named(engine: ProcessEngine, state: Path, shell_spec: Any) -> None:
    with pytest.raises(ContainerError, match="needs perl99 or perl98, which is not on PATH") as caught:
        engine.create(*shell_spec("", interpreters=("perl99", "perl98")), timeout=CALL)
    assert "--engine docker" in str(caught.value.hint)
    assert list(state.iterdir()) == [] if state.exists() else True


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a\nb", "x" * 300])
def test_a_name_that_leaves_the_state_folder_is_refused(engine: ProcessEngine, shell_spec: Any, name: str) -> None:
    with pytest.raises(ContainerError, match="cannot name a container"):
        engine.create(*shell_spec("", name=name), timeout=CALL)
    with pytest.raises(ContainerNotFoundError):
        engine.inspect(ContainerHandle(id=name), timeout=CALL)
    engine.remove(ContainerHandle(id=name), timeout=CALL)


def test_secrets_are_gone_from_the_disk_once_the_bot_runs(run: Run, state: Path, shell_spec: Any) -> None:
    ran = run(shell_spec("true", environment={"KEY": "very-secret"}))
    held = [path.read_bytes() for path in (state / ran.container.id).rglob("*") if path.is_file()]
    assert held
    assert not any(b"very-secret" in data for data in held)


def test_a_second_start_of_a_running_bot_changes_nothing(engine: ProcessEngine, shell_spec: Any) -> None:
    container = engine.create(*shell_spec("sleep 600"), timeout=CALL)
    for _ in range(2):
        engine.start(container, timeout=CALL)
    assert engine.inspect(container, timeout=CALL).state is ContainerState.RUNNING


def test_a_container_runs_once(engine: ProcessEngine, run: Run, shell_spec: Any) -> None:
    ran = run(shell_spec("exit 4"))
    with pytest.raises(ContainerError, match="started already"):
        engine.start(ran.container, timeout=CALL)
    assert engine.inspect(ran.container, timeout=CALL) == ran.status


def test_a_start_that_takes_too_long_starts_nothing(engine: ProcessEngine, shell_spec: Any, tmp_path: Path) -> None:
    container = engine.create(*shell_spec("sleep 1; touch started"), timeout=CALL)
    with pytest.raises(EngineTimeoutError, match="did not answer within"):
        engine.start(container, timeout=0.0001)
    assert engine.inspect(container, timeout=CALL).state is not ContainerState.RUNNING
    with pytest.raises(ContainerError, match=r"started already|plan is gone"):
        engine.start(container, timeout=CALL)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('rm "$1" && ln -s /etc/passwd "$1"', "symbolic links"),
        ('rm "$1" && mkfifo "$1"', "not a regular file"),
        ('rm "$1" && mkdir "$1"', "Is a directory"),
        ('rm "$1"', "the result file is gone"),
    ],
)
def test_a_result_that_is_no_file_any_more_is_refused(
    engine: ProcessEngine, run: Run, shell_spec: Any, script: str, words: str
) -> None:
    ran = run(shell_spec(script))
    assert ran.status.exit_code == 0
    with pytest.raises(ContainerError, match=words):
        engine.fetch_result(ran.container, limit=10, timeout=CALL)
