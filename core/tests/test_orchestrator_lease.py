"""A runner's lease: it holds as long as its process lives, ends with it in whatever way, and leaves no file."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import BotdockError
from botdock.executions._lease import Lease, claiming, hold, holder_lives, holder_of

RUNNER = """
import os, sys, time
from pathlib import Path
from botdock.executions._lease import Lease, hold

home, directory, forks = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "forks"
lease = Lease(home)
hold(directory, lease.hold())
child = os.fork() if forks else -1
if child == 0:
    lease.hold()
os.write(1, b"%s%c" % (str(child or "born").encode(), 10))
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "executions" / "01"
    made.mkdir(parents=True)
    return made


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runners").iterdir())


def test_a_holder_lives_until_it_gives_up_its_lease(tmp_path: Path, directory: Path) -> None:
    lease = Lease(tmp_path)
    runner = lease.hold()
    assert lease.hold() == runner
    assert not holder_lives(directory)
    hold(directory, runner)
    assert holder_of(directory) == runner
    assert holder_lives(directory)
    assert files(tmp_path) == [f"{runner}.lock"]
    lease.give_up()
    lease.give_up()
    assert not holder_lives(directory)
    assert files(tmp_path) == []


def test_two_runners_of_one_process_have_leases_of_their_own(tmp_path: Path, directory: Path) -> None:
    first, second = Lease(tmp_path), Lease(tmp_path)
    hold(directory, first.hold())
    assert second.hold() != first.hold()
    second.give_up()
    assert holder_lives(directory)
    first.give_up()


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "x" * 1000, "\x00"])
def test_a_damaged_note_names_no_runner(directory: Path, text: str) -> None:
    (directory / "runner").write_text(text)
    assert holder_of(directory) is None
    assert not holder_lives(directory)


@pytest.mark.parametrize("unreadable", ["runner", ".lock"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO])
def test_a_process_that_cannot_look_takes_no_runner_for_dead(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch, unreadable: str, number: int
) -> None:
    lease = Lease(tmp_path)
    hold(directory, lease.hold())

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *args: Any, **options: Any) -> Any:
            if str(path).endswith(unreadable):
                raise OSError(number, os.strerror(number))
            return real(path, *args, **options)

        return opened

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing(os.open))
        patch.setattr(io, "open", refusing(io.open))
        assert holder_lives(directory)
        lease.sweep()
    assert holder_lives(directory)
    lease.give_up()
    assert not holder_lives(directory)


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_a_lease_ends_with_its_process_however_that_dies(tmp_path: Path, directory: Path, way: signal.Signals) -> None:
    with _runner(tmp_path, directory) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert holder_lives(directory)
        process.send_signal(way)
        process.wait(10)
        assert not holder_lives(directory)
    assert len(files(tmp_path)) == 1
    Lease(tmp_path).sweep()
    assert files(tmp_path) == []


def test_a_forked_child_does_not_keep_its_parents_lease_alive(tmp_path: Path, directory: Path) -> None:
    with _runner(tmp_path, directory, forks=True) as process:
        assert process.stdout is not None
        said = {process.stdout.readline().strip() for _ in range(2)}
        (child,) = said - {"born"}
        assert len(files(tmp_path)) == 2, "the child that needs a lease has one of its own"
        process.kill()
        process.wait(10)
        os.kill(int(child), 0)
        assert not holder_lives(directory)


def test_a_program_that_is_started_does_not_keep_a_lease_alive(tmp_path: Path, directory: Path) -> None:
    lease = Lease(tmp_path)
    hold(directory, lease.hold())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as program:
        lease.give_up()
        assert program.poll() is None
        assert not holder_lives(directory)
        program.kill()


def test_sweeping_forgets_the_dead_and_leaves_the_living(tmp_path: Path, directory: Path) -> None:
    lease = Lease(tmp_path)
    hold(directory, lease.hold())
    (tmp_path / "runners/01dead.lock").touch()
    (tmp_path / "runners/01unborn.new").touch()
    (tmp_path / "runners/other").touch()
    lease.sweep()
    assert files(tmp_path) == [f"{lease.hold()}.lock", "other"]
    lease.give_up()


def test_leases_are_taken_while_another_process_sweeps_without_an_end(tmp_path: Path) -> None:
    over = threading.Event()
    sweeper = Lease(tmp_path)

    def sweep() -> None:
        while not over.is_set():
            sweeper.sweep()

    thread = threading.Thread(target=sweep)
    thread.start()
    leases = [Lease(tmp_path) for _ in range(50)]
    try:
        assert len({lease.hold() for lease in leases}) == 50
        assert len(files(tmp_path)) == 50
    finally:
        over.set()
        thread.join()
        for lease in leases:
            lease.give_up()


def test_a_state_folder_that_takes_no_lease_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "runners").write_text("in the way")
    with pytest.raises(BotdockError, match="cannot write the state folder") as caught:
        Lease(tmp_path).hold()
    assert "BOTDOCK_HOME" in str(caught.value)


def test_one_at_a_time_decides_who_holds_an_execution(directory: Path) -> None:
    with claiming(directory) as first, claiming(directory) as second:
        assert (first, second) == (True, False)
    with claiming(directory) as third:
        assert third
    with claiming(directory / "gone") as fourth:
        assert not fourth


def _runner(home: Path, directory: Path, *, forks: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(home), str(directory), "forks" if forks else "alone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
