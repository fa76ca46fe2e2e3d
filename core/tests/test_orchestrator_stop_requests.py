"""Stops that another process asks for, by a file in the state folder; and handing over without a stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.executions import Executions, ExecutionState, _stops
from botdock.executions._files import changed_ns
from botdock.executions._lease import Lease, hold
from botdock.executions._stops import write_stop
from botdock.model import Executable, Outcome, Status, new_execution_id
from botdock.orchestrator.running import Running
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until


@pytest.fixture
def running(make_stage: Callable[..., Any], make_bot: Callable[..., Executable]) -> tuple[Any, Any]:
    """An orchestrator, and an execution of it that ends only when it is stopped."""
    stage = make_stage(FakeEngine(Script(forever=True)))
    return stage, stage.orchestrator.begin(make_bot())


def test_a_stop_from_any_process_ends_as_stopped(running: Any) -> None:
    stage, execution = running
    (folder,) = stage.records()
    executions = Executions(stage.home)
    assert executions.request_stop("bot", grace=0).state in {ExecutionState.STOPPING, ExecutionState.ENDED}
    assert execution.wait(20).outcome is Outcome.STOPPED
    record = executions.wait(execution.execution_id)
    assert (record.state, record.outcome) == (ExecutionState.ENDED, Outcome.STOPPED)
    assert not (folder / "stop.json").exists()


@pytest.mark.parametrize("grace", [str(10**400), "1e400", "NaN", "-1", '"x"'])
def test_a_damaged_request_is_obeyed_with_the_usual_grace_and_hinders_no_other(
    running: Any, make_bot: Callable[..., Executable], grace: str
) -> None:
    stage, execution = running
    other = stage.orchestrator.begin(make_bot(id="other"))
    (stage.home / "executions" / execution.execution_id / "stop.json").write_text(f'{{"grace": {grace}}}')
    Executions(stage.home).request_stop("other", grace=0)
    assert [one.wait(20).outcome for one in (other, execution)] == [Outcome.STOPPED] * 2


@pytest.mark.parametrize("name", ["execution_id", "container_id"])
def test_another_runner_stops_it_by_either_id(running: Any, name: str) -> None:
    stage, execution = running
    stage.successor().orchestrator.stop_execution(getattr(execution, name), grace=0)
    assert execution.wait(20).outcome is Outcome.STOPPED


def test_who_recovers_obeys_what_its_dead_runner_was_asked(begun: Any) -> None:
    stage, before, _ = begun(timeout=30)
    executions = Executions(stage.home)
    assert executions.request_stop(before.execution_id, grace=0).state is ExecutionState.ABANDONED
    second = stage.successor()
    with pytest.raises(BotdockError, match="it is abandoned"):
        second.orchestrator.stop_execution(before.execution_id, grace=0)
    (execution,) = second.orchestrator.recover()
    assert execution.wait(20).outcome is Outcome.STOPPED


@pytest.mark.parametrize("operation", ["ensure_image", "create", "attach"])
def test_a_stop_that_is_asked_for_before_the_start_comes_before_it(
    make_stage: Callable[..., Any],
    make_bot: Callable[..., Executable],
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    call = getattr(stage.engine, operation)

    def asked_meanwhile(*arguments: Any, **named: Any) -> Any:
        Executions(stage.home).request_stop("bot")
        return call(*arguments, **named)

    monkeypatch.setattr(stage.engine, operation, asked_meanwhile)
    execution = stage.orchestrator.begin(make_bot())
    assert execution.wait(20).outcome is Outcome.STOPPED
    assert "start" not in stage.engine.operations
    assert stage.left == []
    assert Executions(stage.home).get("bot").outcome is Outcome.STOPPED
    assert list(execution.logs(follow=True)) == []
    assert [hook for hook, _ in stage.notices] == ["botdock_before_execution", "botdock_after_execution"]


def test_a_stop_that_is_asked_for_while_its_bot_is_started_is_obeyed(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Running, "obey", lambda _: None)  # the runner has looked before it watches over the execution
    stage = make_stage(FakeEngine(Script(forever=True)))
    start = stage.engine.start

    def asked_meanwhile(*arguments: Any, **named: Any) -> None:
        start(*arguments, **named)
        write_stop(stage.records()[0], 0.0)

    monkeypatch.setattr(stage.engine, "start", asked_meanwhile)
    assert stage.orchestrator.begin(make_bot()).wait(20).outcome is Outcome.STOPPED


def test_stop_returns_with_the_outcome(running: Any) -> None:
    _, execution = running
    execution.stop(grace=0)
    assert execution.done
    assert execution.result.outcome is Outcome.STOPPED


def test_a_hook_may_stop_its_own_execution(make_stage: Callable[..., Any], make_bot: Callable[..., Executable]) -> None:
    stage = make_stage()
    execution = stage.orchestrator.begin(make_bot())
    stage.orchestrator._notify = lambda hook, **_: execution.stop() if hook == "botdock_after_execution" else None
    stage.engine.finish(execution.container_id)
    until(lambda: execution.done)
    assert execution.result.outcome is Outcome.SUCCEEDED


def test_what_no_record_knows_is_asked_of_the_engine(make_stage: Callable[..., Any]) -> None:
    with pytest.raises(ContainerNotFoundError):
        make_stage().orchestrator.stop_execution("nothing")


def test_a_runner_that_is_closed_without_stopping_hands_over(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    script = Script(output=(Script.out(b"tick\n"),), forever=True)
    stage = make_stage(FakeEngine(script, check_mounts=True))
    execution = stage.orchestrator.begin(make_bot(timeout=30))
    assert next(iter(execution.logs(follow=True))).text == "tick"
    stage.orchestrator.close(stop=False)
    assert (execution.done, execution.result.status, execution.wait(0)) == (True, Status.RUNNING, None)
    assert execution.wait().status is Status.RUNNING
    second = stage.successor()
    (adopted,) = second.orchestrator.recover()
    stage.engine.emit(execution.container_id, b"later\n")
    stage.engine.finish(execution.container_id)
    result = adopted.wait(20)
    assert (result.outcome, result.output, result.log.complete) == (Outcome.SUCCEEDED, "tick\nlater\n", True)
    assert second.left == []


def test_a_request_that_comes_after_the_end_leaves_nothing(running: Any) -> None:
    stage, execution = running
    execution.kill()
    (folder,) = stage.records()
    until((folder / "outcome.json").exists)
    write_stop(folder, 1.0)  # by a process that had seen it run
    assert not (folder / "stop.json").exists()


def test_a_request_is_heard_of_where_no_datagram_comes_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    rings: list[int] = []

    def counted(path: Path) -> int:
        if path.is_relative_to(tmp_path):  # and not of a runner that another test has left
            looks.append(path)
        return changed_ns(path)

    monkeypatch.setattr(_stops, "_LOOK", 0.01)
    monkeypatch.setattr(_stops, "changed_ns", counted)
    lease, directory = Lease(tmp_path), tmp_path / "executions" / new_execution_id()
    directory.mkdir(parents=True)
    hold(directory, lease.hold())
    os.utime(tmp_path / "runners" / f"{lease.hold()}.lock", (1.0, 1.0))
    with closing(_stops.Doorbell(tmp_path, lambda: rings.append(len(looks)))) as doorbell:
        doorbell.begin(lease.hold())
        (tmp_path / "runners" / f"{lease.hold()}.sock").unlink()  # by another program
        until(lambda: len(looks) > 4, timeout=60)
        assert rings == [1], "the first look; the lease has not changed since"
        _stops.request_stop(directory, None)
        until(lambda: len(rings) > 1, timeout=60)
    lease.give_up()
