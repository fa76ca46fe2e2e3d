"""The supervisor's own pieces: whose turn it is, what follows an end, who has the seat, what systemd is told."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import BotdockError, UserError
from botdock.executions import Executions
from botdock.executions import _queue as queue
from botdock.executions._files import request_ids
from botdock.executions._requests import Request, Restart, read_request
from botdock.model import Executable, Outcome, new_execution_id
from botdock.supervisor import _succession as succession
from botdock.supervisor._seat import HAND_OVER, is_taken, ring, seated
from botdock.supervisor._succession import settle
from botdock.supervisor._supervisor import ServiceManager
from botdock.supervisor._watch import Queued, in_turn, seconds_until
from testbed.waiting import until

NOW = datetime.now(UTC)


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")), st.integers(-1, 9))
def test_no_bot_gets_a_turn_while_another_that_waits_has_fewer_running(
    waiting: list[str], running: list[str], places: int
) -> None:
    asked = [Queued(f"{number:03}", bot) for number, bot in enumerate(waiting)]
    begun = list(in_turn(asked, running, places, 0.0))
    assert len(begun) == min(max(places, 0), len(asked))
    now = list(running)
    for one in begun:
        left = [other for other in asked if other not in begun[: begun.index(one)]]
        assert now.count(one.bot) == min(now.count(other.bot) for other in left)
        assert one == next(other for other in left if other.bot == one.bot)
        now.append(one.bot)


def test_what_is_not_due_does_not_begin() -> None:
    later, due = Queued("1", "a", 5.1), Queued("2", "a", 5.0)
    assert list(in_turn([later, due], [], 9, 5.0)) == [due]


def test_a_clock_that_is_set_prolongs_no_pause_beyond_the_longest() -> None:
    for ahead, pause in ((-86_400, 0), (0, 0), (5, 5), (86_400, 300)):
        assert seconds_until(NOW + timedelta(seconds=ahead), longest=300.0, now=NOW) == pause
    assert seconds_until(None, longest=300.0, now=NOW) == 0


def ask(home: Path, **fields: Any) -> Request:
    executable = Executable(id="sma", file_path="/bots/sma", secrets={"KEY": "s3cr3t"}, **fields)
    request = Request(execution_id=new_execution_id(), executable=executable, overrides={"engine": "x"})
    queue.submit(home, request, most=100)
    (home / "executions" / request.execution_id / "outcome.json").write_text('{"outcome": "failed"}')
    return request


def again(request: Request, end: Mapping[str, Any]) -> Restart:
    assert end == {"outcome": "failed"}
    return Restart(policy="always", previous=request.execution_id, restarts=request.restart.restarts + 1)


def test_the_successor_is_asked_for_what_its_predecessor_was(tmp_path: Path) -> None:
    first = ask(tmp_path, code=b"zip")
    settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    (name,) = request_ids(tmp_path)
    second = read_request(tmp_path, name)
    assert second is not None
    assert (second.executable, second.overrides) == (first.executable, first.overrides)
    assert second.restart == Restart(policy="always", previous=first.execution_id, restarts=1)
    assert not (tmp_path / "requests" / f"{first.execution_id}.code").exists()


@pytest.mark.parametrize("place", ["change_request", "_make", "submit", "forget_request"])
@pytest.mark.parametrize("before", [True, False])
def test_a_supervisor_that_dies_over_it_leaves_one_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, before: bool
) -> None:
    first, whole = ask(tmp_path), getattr(succession, place)

    def die(*given: Any, **named: Any) -> None:
        if not before:
            whole(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(succession, place, die)
    with pytest.raises(KeyboardInterrupt):
        settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    monkeypatch.undo()
    settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    assert len([name for name in request_ids(tmp_path) if name != first.execution_id]) == 1
    assert len(list((tmp_path / "executions").iterdir())) == 2


def test_a_bot_that_ended_by_itself_when_it_was_asked_to_stop_has_no_successor(tmp_path: Path) -> None:
    request = ask(tmp_path)
    stopped = Executions(tmp_path).stop("sma", timeout=0)
    assert stopped.execution_id == request.execution_id
    settle(tmp_path, request.execution_id, {"outcome": "failed"}, again)
    assert request_ids(tmp_path) == []
    assert len(list((tmp_path / "executions").iterdir())) == 1


@pytest.mark.parametrize("place", ["follow", "change_request", "_make", "submit", "forget_request"])
@pytest.mark.parametrize("before", [True, False])
def test_whenever_a_bot_is_stopped_over_its_restart_nothing_is_left_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, *, before: bool
) -> None:
    ask(tmp_path)
    stops: list[threading.Thread] = []

    def stop_now() -> None:
        stops.append(threading.Thread(target=lambda: Executions(tmp_path).stop("sma", timeout=60)))
        stops[0].start()
        stops[0].join(0.2)  # where it waits for the supervisor, it goes on below

    def meanwhile(whole: Any) -> Any:
        def act(*given: Any, **named: Any) -> Any:
            if before:
                stop_now()
            result = whole(*given, **named)
            if not before:
                stop_now()
            return result

        return act

    if place != "follow":
        monkeypatch.setattr(succession, place, meanwhile(getattr(succession, place)))
    (name,) = request_ids(tmp_path)
    settle(tmp_path, name, {"outcome": "failed"}, meanwhile(again) if place == "follow" else again)
    stops[0].join()
    for name in request_ids(tmp_path):
        settle(tmp_path, name, {"outcome": "stopped"}, lambda *_: None)
    assert not Executions(tmp_path).list(running=True)


def test_a_stop_that_waits_in_vain_for_a_restart_that_is_just_made_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = ask(tmp_path), queue.submit

    def late(*given: Any, **named: Any) -> None:
        assert Executions(tmp_path).stop("sma", timeout=0).execution_id == first.execution_id
        whole(*given, **named)

    monkeypatch.setattr(queue, "_MAKING", 0.0)
    monkeypatch.setattr(succession, "submit", late)
    settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    assert not Executions(tmp_path).list(running=True)
    assert [one.outcome for one in Executions(tmp_path).list()] == [Outcome.STOPPED, Outcome.FAILED]


def test_a_stop_that_could_not_be_passed_on_is_passed_on_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = ask(tmp_path), queue.submit

    def late(*given: Any, **named: Any) -> None:
        Executions(tmp_path).stop("sma", timeout=0)
        whole(*given, **named)

    def full(*_: Any) -> None:
        raise BotdockError("cannot write stop.json: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "_MAKING", 0.0)
        patched.setattr(succession, "submit", late)
        patched.setattr(succession, "request_stop", full)
        with pytest.raises(BotdockError):
            settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    settle(tmp_path, first.execution_id, {"outcome": "failed"}, lambda *_: None)  # which knows of the stop
    assert not Executions(tmp_path).list(running=True)


def test_what_was_removed_has_no_successor(tmp_path: Path) -> None:
    request = ask(tmp_path)
    settle(tmp_path, request.execution_id, None, again)
    assert request_ids(tmp_path) == []


def test_what_may_be_restarted_is_not_removed_before_that_is_decided(tmp_path: Path) -> None:
    first, executions = ask(tmp_path), Executions(tmp_path)
    with pytest.raises(UserError, match="whether it is restarted") as caught:
        executions.remove("sma")
    assert first.execution_id in str(caught.value.hint)
    settle(tmp_path, first.execution_id, {"outcome": "failed"}, again)
    executions.remove(first.execution_id)
    assert [one.previous for one in executions.list()] == [first.execution_id]
    second = ask(tmp_path)
    executions.request_stop(second.execution_id)
    executions.remove(second.execution_id)
    assert second.execution_id not in request_ids(tmp_path)


def test_a_removal_waits_for_a_supervisor_that_is_just_deciding(tmp_path: Path) -> None:
    request = ask(tmp_path)
    with seated(tmp_path, replace=False, patience=0), ThreadPoolExecutor(1) as pool:
        removed = pool.submit(Executions(tmp_path).remove, request.execution_id)
        settle(tmp_path, request.execution_id, {"outcome": "failed"}, again)
        assert removed.result(60).execution_id == request.execution_id
    assert len(request_ids(tmp_path)) == 1


def test_the_seat_has_one_holder_who_is_asked_to_hand_over(tmp_path: Path) -> None:
    with seated(tmp_path, replace=False, patience=0) as bell:
        assert bell is not None
        assert (tmp_path / "supervisor.lock").read_text() == f"{os.getpid()}\n"
        with seated(tmp_path, replace=False, patience=0) as other:
            assert other is None
        ring(tmp_path)
        assert is_taken(tmp_path)
        assert not bell.wait(20)
        successors: list[bool] = []

        def replace() -> None:
            with seated(tmp_path, replace=True, patience=60) as other:
                successors.append(other is not None)

        thread = threading.Thread(target=replace)
        thread.start()
        until(lambda: bell.wait(1))
        assert successors == []
    thread.join()
    assert successors == [True]
    assert not is_taken(tmp_path)
    assert (tmp_path / "requests").stat().st_mode & 0o077 == 0


def test_a_socket_that_is_removed_is_made_anew_and_a_lock_that_is_removed_ends_the_supervisor(tmp_path: Path) -> None:
    with seated(tmp_path, replace=False, patience=0) as bell:
        assert bell is not None
        (tmp_path / "requests" / "supervisor.sock").unlink()
        bell.keep()
        ring(tmp_path, HAND_OVER)
        assert bell.wait(20)
        (tmp_path / "supervisor.lock").unlink()
        with pytest.raises(BotdockError, match=r"supervisor.lock was removed under its supervisor"):
            bell.keep()


def test_systemd_is_told_and_its_socket_goes_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0botdock-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@botdock-test-{os.getpid()}")
        monkeypatch.setenv("WATCHDOG_USEC", "1")
        manager = ServiceManager()
        assert "NOTIFY_SOCKET" not in os.environ
        manager.tell("READY=1")
        manager.tell_status("1 run")
        manager.tell_status("1 run")
        manager.live()
        heard.settimeout(20)
        assert [heard.recv(99) for _ in range(3)] == [b"READY=1", b"STATUS=1 run", b"WATCHDOG=1"]
    manager.tell("STOPPING=1")


def test_requests_hold_a_version(tmp_path: Path) -> None:
    request = ask(tmp_path)
    document = json.loads((tmp_path / "requests" / f"{request.execution_id}.json").read_text())
    assert document["schema"] == 1
