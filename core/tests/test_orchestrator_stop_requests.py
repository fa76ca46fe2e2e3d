"""Stops that another process asks for, by a file in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from botdock.errors import BotdockError, ContainerNotFoundError
from botdock.executions import Executions, ExecutionState
from botdock.model import Executable, Outcome
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
