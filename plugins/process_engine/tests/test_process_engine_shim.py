"""The shim, run in a process of the test's own so that what it does is measured."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.model import ContainerState
from botdock.shim._container import LOST, ContainerFolder, tell
from botdock.shim._program import files
from botdock.shim._program import log as writing
from botdock.shim._program.files import identity_of, read_record, write_record
from botdock.shim._program.log import Bells, LogFile
from botdock.shim._program.main import run_shim
from botdock_engine_process.engine import ProcessEngine
from testbed.waiting import until

SECONDS = 30.0

# Forking is quick, and the child touches nothing that another thread of the tests might hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@attrs.frozen
class Supervised:
    folder: ContainerFolder
    process: BaseProcess
    answers: Connection

    def answer(self) -> str:
        assert self.answers.poll(SECONDS), "the shim did not answer"
        answer: str = self.answers.recv()
        return answer

    def ending(self) -> dict[str, Any]:
        self.process.join(SECONDS)
        ending: dict[str, Any] = json.loads(self.folder.path.joinpath(files.EXIT).read_text())
        return ending


@pytest.fixture
def supervised(tmp_path: Path, shell_spec: Any) -> Iterator[Callable[..., Supervised]]:
    """Return a function that supervises a shell script."""
    started: list[Supervised] = []

    def start(script: str, **overrides: object) -> Supervised:
        spec = shell_spec(script, **overrides)
        path = tmp_path / "state" / spec.run.name
        made(path, spec)
        return supervise_folder(path)

    def supervise_folder(path: Path) -> Supervised:
        answers, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        process = context.Process(target=run_shim, args=(str(path), theirs.send))
        process.start()
        theirs.close()
        started.append(Supervised(ContainerFolder(path), process, answers))
        return started[-1]

    start.again = supervise_folder  # type: ignore[attr-defined] # the same, for a folder that there is
    yield start
    for one in started:
        one.process.join(SECONDS)
        one.answers.close()
        one.process.close()
        one.folder.remove()


def test_it_records_the_log_and_the_end(supervised: Any) -> None:
    one = supervised("printf out; printf err >&2; exit 6")
    assert one.answer() == ""
    ending = one.ending()
    assert (ending["exit_code"], ending["signal"], ending["error"]) == (6, None, "")
    assert ending["started_at"] <= ending["finished_at"]
    assert sorted(frames(one.folder)) == [(files.STDOUT, b"out"), (files.STDERR, b"err")]


def test_it_stops_with_grace_and_then_kills(supervised: Any) -> None:
    one = supervised("trap '' TERM; echo up; while :; do sleep 1 & wait; done")
    assert one.answer() == ""
    until(lambda: frames(one.folder))
    tell(one.folder.path / files.CONTROL, b"stop 0.05\n")
    assert one.ending()["signal"] == 9


def test_it_heeds_lines_that_come_in_pieces_and_knows_no_others(supervised: Any) -> None:
    one = supervised("exec sleep 600")
    assert one.answer() == ""
    with one.folder.path.joinpath(files.CONTROL).open("wb", buffering=0) as control:
        for piece in (b"dance\nbe", b"ll\nst", b"op 0\n"):
            control.write(piece)
    assert one.ending()["exit_code"] == 137


def test_it_ends_its_bot_when_it_is_told_to_end(supervised: Any) -> None:
    one = supervised("exec sleep 600")
    assert one.answer() == ""
    one.process.terminate()
    assert one.ending()["signal"] == 15


def test_where_the_kernel_lists_no_children_the_bots_group_is_killed(
    supervised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock.shim._program.processes._children", lambda _: [])  # the shim is forked from us
    one = supervised("sleep 600 & echo $!")
    one.ending()
    left = int(dict(frames(one.folder))[files.STDOUT])
    until(lambda: identity_of(left) is None)


def test_it_says_why_a_bot_did_not_start(supervised: Any) -> None:
    one = supervised("", command=("/no/such/program",))
    assert one.answer() == "cannot run /no/such/program: No such file or directory"
    ending = one.ending()
    assert (ending["exit_code"], ending["signal"], ending["started_at"]) == (None, None, None)
    assert ending["error"].startswith("cannot run")


def test_it_stops_a_flood(supervised: Any) -> None:
    from botdock.model import DEFAULT_LIMITS

    one = supervised("yes", limits=attrs.evolve(DEFAULT_LIMITS, output=10))
    assert one.answer() == ""
    ending = one.ending()
    assert (ending["output_limited"], ending["error"]) == (True, "output limit: it wrote more than 10 bytes")
    assert sum(len(data) for _, data in frames(one.folder)) == 10 + writing.OUTPUT_HEADROOM


def test_a_log_that_cannot_be_written_ends_the_bot(supervised: Any, tmp_path: Path, shell_spec: Any) -> None:
    spec = shell_spec("echo hello; exec sleep 600")
    path = tmp_path / "state" / spec.run.name
    made(path, spec)
    (path / f"{files.LOG}0").unlink()
    (path / f"{files.LOG}0").symlink_to("/dev/full")
    one = supervised.again(path)
    assert one.answer() == ""
    assert one.ending()["error"] == "the log could not be written: No space left on device"
    assert one.ending()["signal"] == 9


@pytest.fixture
def disk_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A disk that takes the record of no end; return what is there once it was tried, and what opens it."""
    tried, opened = tmp_path / "tried", tmp_path / "opened"

    def written(path: str, record: dict[str, Any], *, once: bool = False) -> bool:
        if path == files.EXIT and not opened.exists():
            tried.touch()
            raise OSError(errno.EROFS, "Read-only file system")
        return write_record(path, record, once=once)

    monkeypatch.setattr("botdock.shim._program.main.write_record", written)  # the shim is forked from us
    monkeypatch.setattr("botdock.shim._program.main.RETRY_SECONDS", 0.01)
    return tried, opened


def test_an_end_that_cannot_be_written_down_is_once_it_can(supervised: Any, disk_gate: tuple[Path, Path]) -> None:
    tried, opened = disk_gate
    one = supervised("exit 7")
    assert one.answer() == ""
    until(tried.exists)
    assert one.folder.status().state is ContainerState.RUNNING
    opened.touch()
    assert one.ending()["exit_code"] == 7


def test_who_stops_it_need_not_wait_for_the_disk(supervised: Any, disk_gate: tuple[Path, Path]) -> None:
    one = supervised("exit 7")
    assert one.answer() == ""
    until(disk_gate[0].exists)
    tell(one.folder.path / files.CONTROL, b"stop 0\n")
    one.process.join(SECONDS)
    assert (one.process.exitcode, one.folder.status().error) == (1, LOST)


def test_a_second_shim_leaves_at_once(supervised: Any) -> None:
    first = supervised("exit 2")
    assert first.answer() == ""
    first.ending()
    assert supervised.again(first.folder.path).answer() == "it has been started already"


def test_without_a_plan_nothing_is_started(supervised: Any, tmp_path: Path, shell_spec: Any) -> None:
    spec = shell_spec("true")
    made(tmp_path / spec.run.name, spec)
    (tmp_path / spec.run.name / files.PLAN).unlink()
    assert supervised.again(tmp_path / spec.run.name).answer() == "its plan is gone"


def test_of_a_removal_and_a_late_start_one_gets_the_plan(
    supervised: Any, tmp_path: Path, shell_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shell_spec("true")
    folder = ContainerFolder(tmp_path / "state" / spec.run.name)
    made(folder.path, spec)

    def removed_meanwhile(path: str) -> dict[str, Any] | None:
        plan = read_record(path)
        folder.kill(timeout=SECONDS)
        return plan

    monkeypatch.setattr("botdock.shim._program.main.read_record", removed_meanwhile)
    monkeypatch.setattr("botdock.shim._container.kill_process", lambda _: None)  # it would be this very process
    assert supervised.again(folder.path).answer() == "its plan is gone"
    assert not (folder.path / files.BOT).exists()


def test_a_shim_that_fails_takes_its_bot_along(supervised: Any, tmp_path: Path, shell_spec: Any) -> None:
    spec = shell_spec("exec sleep 600")
    path = tmp_path / "state" / spec.run.name
    made(path, spec)
    one = supervised.again(path)
    assert one.answer() == ""
    bot = json.loads(one.folder.path.joinpath(files.BOT).read_text())
    tell(one.folder.path / files.CONTROL, b"stop soon\n")  # no number
    one.process.join(SECONDS)
    assert one.process.exitcode == 1
    assert identity_of(bot["pid"]) != bot["identity"]


def test_a_log_keeps_its_whole_frames_when_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{files.LOG}0"
    path.write_bytes(files.HEAD.pack(0, 0))
    log = LogFile(str(path))
    log.append(files.STDOUT, b"whole")
    write, sizes = os.write, iter([4])

    def half(descriptor: int, data: bytes) -> int:
        for size in sizes:
            return write(descriptor, bytes(data)[:size])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        log.append(files.STDOUT, b"torn")
    log.close()
    assert frames(ContainerFolder(tmp_path)) == [(files.STDOUT, b"whole")]


def test_what_was_held_back_and_cannot_be_written_is_told(supervised: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LogFile, "flush", full)  # the shim is forked from us
    ending = supervised("printf x").ending()
    assert (ending["exit_code"], ending["error"]) == (0, "the log could not be written: No space left on device")


def test_bells_hear_and_those_of_the_dead_are_taken_down(tmp_path: Path) -> None:
    for name in ("alive", "dead", "dies"):
        os.mkfifo(tmp_path / name)
    alive, dies = (os.open(tmp_path / name, os.O_RDONLY | os.O_NONBLOCK) for name in ("alive", "dies"))
    bells = Bells(str(tmp_path))
    bells.scan()
    os.close(dies)
    bells.ring()
    assert os.read(alive, 10) == 2 * files.RUNG
    assert [path.name for path in tmp_path.iterdir()] == ["alive"]
    for _ in range(70_000):  # more than a pipe holds
        bells.ring()
    bells.close()
    os.close(alive)


def test_a_folder_of_bells_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    Bells(str(tmp_path / "gone")).scan()


def frames(folder: ContainerFolder) -> list[tuple[int, bytes]]:
    data, found = folder.path.joinpath(f"{files.LOG}0").read_bytes()[files.HEAD.size :], []
    while data:
        _, size, stream = files.FRAME.unpack_from(data)
        end = files.FRAME.size + size
        found.append((stream, data[files.FRAME.size : end]))
        data = data[end:]
    return found


def made(path: Path, spec: Any) -> None:
    ProcessEngine(path.parent, warn=lambda _: None).create(*spec, timeout=SECONDS)
