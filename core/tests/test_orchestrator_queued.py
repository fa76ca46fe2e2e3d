"""An execution that was queued starts once; what hinders it becomes its end, and a closed runner leaves it queued."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import BotdockError
from botdock.executions import Executions, ExecutionState
from botdock.executions._queue import is_queued, submit
from botdock.executions._requests import Request, Restart
from botdock.model import ContainerState, Executable, Outcome, new_execution_id
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script, envelope
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]


@pytest.fixture
def ask(tmp_path: Path, make_bot: MakeBot) -> Callable[..., Request]:
    def ask(**fields: Any) -> Request:
        restart = Restart(policy="always", previous="before", restarts=1)
        request = Request(execution_id=new_execution_id(), executable=make_bot(**fields), restart=restart)
        submit(tmp_path, request, most=100)
        return request

    return ask


def closed_while_it_begins(stage: Any) -> None:
    """Close a runner, which waits for what it begins."""
    threading.Thread(target=stage.orchestrator.close, kwargs={"stop": False}).start()
    until(lambda: stage.orchestrator._running._closed)


def test_it_runs_under_the_id_that_it_was_given(make_stage: MakeStage, ask: Callable[..., Request]) -> None:
    stage, request = make_stage(FakeEngine(Script(result=envelope(b"1")))), ask(secrets={"KEY": "s3cr3t-value"})
    execution = stage.orchestrator.take(request)
    assert execution.execution_id == request.execution_id
    assert stage.orchestrator.take(request) is None, "it is not queued any more"
    result = execution.wait(20)
    assert (result.outcome, result.value) == (Outcome.SUCCEEDED, 1)
    assert [path.name for path in stage.records()] == [request.execution_id]
    document = json.loads((stage.records()[0] / "request.json").read_text())
    assert (document["engine"], document["secrets"]) == ("fake", ["KEY"])
    record = Executions(stage.home).get("bot")
    assert (record.previous, record.restarts) == ("before", 1)
    assert stage.left == []


@pytest.mark.parametrize(
    ("fields", "error"), [({"file_path": "nowhere"}, "no code 'nowhere'"), ({"network": "host"}, "network 'host'")]
)
def test_a_mistake_of_its_caller_is_its_outcome(
    make_stage: MakeStage, ask: Callable[..., Request], fields: dict[str, Any], error: str
) -> None:
    stage, request = make_stage(), ask(**fields)
    result = stage.orchestrator.take(request).wait(20)
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert error in result.error
    assert [hook for hook, _ in stage.notices][-2:] == ["botdock_on_execution_error", "botdock_after_execution"]
    assert Executions(stage.home).get(request.execution_id).error == result.error
    assert stage.left == []


def test_a_stop_before_the_bot_was_started_is_obeyed(
    make_stage: MakeStage, ask: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, request = make_stage(), ask()
    pull = stage.orchestrator._services.containers.pull_image

    def stopped_meanwhile(*given: Any) -> Any:
        Executions(stage.home).request_stop(request.execution_id)
        return pull(*given)

    monkeypatch.setattr(stage.orchestrator._services.containers, "pull_image", stopped_meanwhile)
    assert stage.orchestrator.take(request).wait(20).outcome is Outcome.STOPPED
    assert stage.left == []


def test_a_runner_that_is_closed_leaves_it_queued(
    make_stage: MakeStage, ask: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, request = make_stage(), ask()
    containers = stage.orchestrator._services.containers
    pull = containers.pull_image

    def closed_meanwhile(*given: Any) -> Any:
        closed_while_it_begins(stage)
        return pull(*given)

    monkeypatch.setattr(containers, "pull_image", closed_meanwhile)
    assert stage.orchestrator.take(request) is None
    assert is_queued(stage.records()[0])
    assert Executions(stage.home).get("bot").state is ExecutionState.QUEUED
    assert stage.leftovers == []
    second = stage.successor()
    assert second.orchestrator.recover() == []
    assert second.orchestrator.take(request).wait(20).outcome is Outcome.SUCCEEDED
    assert second.left == []


def test_one_whose_container_is_there_when_its_runner_is_closed_is_started(
    make_stage: MakeStage, ask: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, request = make_stage(FakeEngine(Script(forever=True))), ask()
    containers = stage.orchestrator._services.containers
    attach = containers.attach

    def closed_meanwhile(handle: Any) -> Any:
        closed_while_it_begins(stage)
        return attach(handle)

    monkeypatch.setattr(containers, "attach", closed_meanwhile)
    taken = stage.orchestrator.take(request)
    assert taken.wait(20) is None
    assert taken.done, "it was left to the next runner"
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    assert [info.state for info in second.engine.list({}, timeout=1)] == [ContainerState.RUNNING]
    execution.stop()
    assert execution.result.outcome is Outcome.STOPPED


def test_what_a_runner_left_that_died_over_its_preparation_is_no_hindrance(
    make_stage: MakeStage, ask: Callable[..., Request]
) -> None:
    request = ask()
    stage = make_stage(FakeEngine(Script()))
    (stage.records()[0] / "workspace" / "code").mkdir(parents=True)
    (stage.records()[0] / "workspace" / "code" / "other.sh").write_text("of another try")
    assert stage.orchestrator.take(request).wait(20).outcome is Outcome.SUCCEEDED


def test_a_closed_runner_says_so(make_stage: MakeStage, ask: Callable[..., Request]) -> None:
    stage, request = make_stage(), ask()
    stage.orchestrator.close()
    with pytest.raises(BotdockError, match="closed"):
        stage.orchestrator.take(request)
    assert is_queued(stage.records()[0])
