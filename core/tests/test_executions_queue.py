"""Executions that wait for a supervisor: whole on disk before the caller goes on, seen, stopped, removed."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import UserError
from botdock.executions import Executions, ExecutionState, _stops
from botdock.executions import _queue as queue
from botdock.executions._files import forget_request, is_orphan, remove_folder, request_ids
from botdock.executions._lease import Lease, hold
from botdock.executions._requests import Request, Restart, read_request, write_request
from botdock.executions._stops import write_stop
from botdock.model import Executable, Limits, Outcome, new_execution_id

Ask = Callable[..., Path]
SECRET = "s3cr3t-of-the-bot"


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def ask(bot: str = "sma", *, most: int = 100, restart: Restart | None = None, **fields: Any) -> Path:
        executable = Executable(**({"id": bot, "file_path": "/bots/sma"} | fields))
        request = Request(
            execution_id=new_execution_id(),
            executable=executable,
            overrides={"engine": "process"},
            restart=restart or Restart(),
            engine="process",
            storage="local-fs",
        )
        queue.submit(tmp_path, request, most=most)
        return tmp_path / "executions" / request.execution_id

    return ask


def state_of(directory: Path) -> ExecutionState:
    return Executions(directory.parent.parent).get(directory.name).state


def test_a_request_comes_back_as_it_was_given(tmp_path: Path, ask: Ask) -> None:
    restart = Restart(policy="always", previous="x", restarts=2, generation=3, not_before=datetime.now(UTC))
    given: dict[str, Any] = {
        "limits": Limits(memory=64 * 2**20),
        "secrets": {"KEY": SECRET},
        "code": b"\x00zip",
        "config": {"a": [1]},
        "timeout": 5,
    }
    directory = ask("b", restart=restart, **given)
    request = read_request(tmp_path, directory.name)
    assert request is not None
    assert request.executable == Executable(id="b", file_path="/bots/sma", **given)
    assert (request.overrides, request.restart) == ({"engine": "process"}, restart)
    followed = attrs.evolve(request, successor="y")
    write_request(tmp_path, followed)
    assert read_request(tmp_path, directory.name) == followed


def test_secrets_lie_in_a_file_of_the_user_alone_which_goes_with_the_request(tmp_path: Path, ask: Ask) -> None:
    directory = ask(secrets={"KEY": SECRET}, code=SECRET.encode())
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert {path.parent.name for path in holding} == {"requests"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
    assert SECRET not in repr(read_request(tmp_path, directory.name))
    assert json.loads((directory / "request.json").read_text())["secrets"] == ["KEY"]
    forget_request(tmp_path, directory.name)
    assert not any(path.exists() for path in holding)


def test_it_is_queued_until_a_runner_takes_it_and_again_when_that_died_before_the_bot_could_run(
    tmp_path: Path, ask: Ask
) -> None:
    directory, lease = ask(), Lease(tmp_path)
    assert (state_of(directory), is_orphan(directory)) == (ExecutionState.QUEUED, False)
    assert Executions(tmp_path).is_alive(Executions(tmp_path).get("sma"))
    hold(directory, lease.hold())
    assert (state_of(directory), queue.is_queued(directory)) == (ExecutionState.STARTING, False)
    lease.give_up()
    assert (state_of(directory), queue.is_queued(directory)) == (ExecutionState.QUEUED, True)
    (directory / "run.json").write_text("{}")
    assert (state_of(directory), is_orphan(directory)) == (ExecutionState.ABANDONED, True)


def test_one_that_follows_another_is_restarting_until_its_time_has_come(ask: Ask) -> None:
    now = datetime.now(UTC)
    later = ask(restart=Restart(previous="x", restarts=4, generation=2, not_before=now + timedelta(hours=1)))
    due = ask(restart=Restart(restarts=4, not_before=now - timedelta(seconds=1)))
    assert (state_of(later), state_of(due)) == (ExecutionState.RESTARTING, ExecutionState.QUEUED)
    record = Executions(later.parent.parent).get(later.name)
    assert (record.previous, record.restarts, record.generation) == ("x", 4, 2)
    assert record.to_json()["not_before"] == (now + timedelta(hours=1)).isoformat()


def test_what_is_queued_can_be_stopped_and_removed_without_a_supervisor(tmp_path: Path, ask: Ask) -> None:
    directory, other = ask(secrets={"KEY": SECRET}), ask()
    write_stop(other, None)
    assert state_of(other) is ExecutionState.STOPPING
    record = Executions(tmp_path).stop(directory.name, timeout=1)
    assert (record.outcome, record.error, record.id) == (
        Outcome.STOPPED,
        "it was stopped before its bot was started",
        "sma",
    )
    assert request_ids(tmp_path) == [other.name]
    assert [event["event"] for event in Executions(tmp_path).events(directory.name)] == ["finished"]
    assert Executions(tmp_path).result(directory.name) is None
    Executions(tmp_path).stop(other.name, timeout=1)
    Executions(tmp_path).remove(other.name)
    assert (request_ids(tmp_path), Executions(tmp_path).list(bot="sma")[0].execution_id) == ([], directory.name)


def test_a_bot_that_is_restarted_twice_while_it_is_asked_to_stop_is_stopped(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = ask(), _stops.request_stop
    row: list[Path] = []

    def meanwhile(directory: Path, grace: float | None) -> Path:
        asked = whole(directory, grace)
        while len(row) < 2:
            row.append(ask(restart=Restart(previous=row[-1].name if row else first.name)))
        return asked

    monkeypatch.setattr(_stops, "request_stop", meanwhile)
    assert Executions(tmp_path).request_stop("sma").execution_id == row[-1].name
    assert Executions(tmp_path).get(row[-1].name).outcome is Outcome.STOPPED


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_removed_as_soon_as_it_is_asked_to_stop_has_stopped(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    name, whole = ask().name, _stops.request_stop

    def removing(directory: Path, grace: float | None) -> Path:
        if when == "before":
            remove_folder(directory)
            forget_request(tmp_path, directory.name)
        asked = whole(directory, grace)
        if when == "after":
            remove_folder(directory)
        return asked

    monkeypatch.setattr(_stops, "request_stop", removing)
    record = Executions(tmp_path).stop(name, timeout=1)
    assert (record.execution_id, record.state, record.outcome) == (name, ExecutionState.ENDED, None)


@pytest.mark.parametrize("removed", [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_a_stop_by_an_older_execution_reaches_its_restart_as_far_as_those_between_are_there(
    tmp_path: Path, ask: Ask, removed: tuple[int, ...]
) -> None:
    row = [ask()]
    for number in (1, 2, 3):
        (row[-1] / "outcome.json").write_text(json.dumps({"id": "sma", "outcome": "failed"}))
        forget_request(tmp_path, row[-1].name)
        row.append(ask(restart=Restart(previous=row[-1].name, restarts=number)))
    ask()  # another one of that bot, which has nothing to do with it
    executions, reached = Executions(tmp_path), False
    for number in removed:
        executions.remove(row[number].name)
    for number in (0, 1, 2):
        if number not in removed:
            asked = executions.request_stop(row[number].name).execution_id
            first_gap = min((gap for gap in removed if gap > number), default=4)
            assert asked == row[first_gap - 1].name
            reached = reached or first_gap == 4
    assert (executions.get(row[3].name).outcome is Outcome.STOPPED) == reached
    assert executions.request_stop(row[3].name).outcome is Outcome.STOPPED
    assert [one.outcome for one in executions.list(bot="sma")][:1] == [None]


def test_of_many_that_end_it_at_once_one_does(ask: Ask) -> None:
    directory, start = ask(), threading.Barrier(8)

    def end(number: int) -> bool:
        start.wait()
        return queue.withdraw(directory, Outcome.STOPPED, f"by {number}")

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(end, range(8))) == 1


def test_a_full_queue_refuses_at_once_and_leaves_nothing(tmp_path: Path, ask: Ask) -> None:
    ask(restart=Restart(not_before=datetime.now(UTC) + timedelta(hours=1)))  # waits for its time, not for its turn
    start = threading.Barrier(8)

    def one(_: int) -> str:
        start.wait()
        try:
            return ask(most=3).name
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert sum("3 executions wait already" in answer and "supervisor.queue = 3" in answer for answer in answers) == 5
    assert len(request_ids(tmp_path)) == len(list((tmp_path / "executions").iterdir())) == 4
    assert not list((tmp_path / "runners").iterdir())


def test_what_waits_for_a_decision_is_not_pruned(tmp_path: Path, ask: Ask) -> None:
    directory = ask()
    (directory / "outcome.json").write_text(json.dumps({"id": "sma", "outcome": "failed"}))
    assert not Executions(tmp_path).prune(keep=0)
    forget_request(tmp_path, directory.name)
    assert [one.execution_id for one in Executions(tmp_path).prune(keep=0)] == [directory.name]


@pytest.mark.parametrize(("boot", "seconds", "removed"), [("", 60, False), ("", 7200, True), ("another", 60, True)])
def test_a_clock_that_is_set_ahead_makes_no_execution_old(
    tmp_path: Path, ask: Ask, boot: str, seconds: int, removed: bool
) -> None:
    directory = ask()
    queue.withdraw(directory, Outcome.STOPPED, "")
    outcome = json.loads((directory / "outcome.json").read_text())
    a_day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()  # as it looks after the clock was set
    (directory / "outcome.json").write_text(json.dumps({**outcome, "finished_at": a_day_ago}))
    event = json.loads((directory / "events.jsonl").read_text())
    event |= {"monotonic_ns": time.monotonic_ns() - seconds * 10**9, **({"boot": boot} if boot else {})}
    (directory / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert bool(Executions(tmp_path).prune(older_than=3600)) == removed


@pytest.mark.parametrize("text", ["{", "[]", '{"executable": {"id": 1}}', "{}"])
def test_a_damaged_request_is_told_from_none(tmp_path: Path, ask: Ask, text: str) -> None:
    directory = ask()
    (tmp_path / "requests" / f"{directory.name}.json").write_text(text)
    with pytest.raises(ValueError, match="damaged"):
        read_request(tmp_path, directory.name)
    assert read_request(tmp_path, new_execution_id()) is None
