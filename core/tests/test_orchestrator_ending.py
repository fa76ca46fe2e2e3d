"""How an execution is ended by botdock, by its engine's grace, or not at all; and that no caller waits for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

import botdock.logging
from botdock.config import Config, ContainersConfig, RuntimeConfig
from botdock.errors import BotdockError, ContainerError, EngineTimeoutError
from botdock.model import ContainerHandle, ContainerState, ContainerStatus, Executable, Limits, Outcome
from botdock.orchestrator import bot_orchestrator
from botdock.orchestrator import execution as module
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.faults import Fault, FaultKind
from botdock_testing.script import Script
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

FOREVER = Script(forever=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_PAUSE", 0.01)


@pytest.fixture
def records() -> Iterator[list[Any]]:
    """What botdock logs meanwhile."""
    found: list[Any] = []
    sink = logger.add(lambda message: found.append(message.record), level="DEBUG")
    botdock.logging.enable()
    yield found
    botdock.logging.disable()
    logger.remove(sink)


def events(folder: Path) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [(entry["event"], entry.get("why", "")) for entry in found if entry["event"] in {"ending", "not_ended"}]


def test_why_it_is_ended_is_written_down_before_the_engine_is_told(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    execution = stage.orchestrator.begin(make_bot())
    (folder,) = stage.records()
    stop, written = stage.engine.stop, []

    def told(*arguments: Any, **options: Any) -> None:
        written.extend(events(folder))
        stop(*arguments, **options)

    monkeypatch.setattr(stage.engine, "stop", told)
    execution.stop()
    assert written == [("ending", "stopped")]
    assert execution.wait(10).outcome is Outcome.STOPPED
    execution.stop()
    assert events(folder) == [("ending", "stopped")], "what has ended is left alone"


def test_what_the_engine_could_not_stop_ends_as_the_bot_ends(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    execution = stage.orchestrator.begin(make_bot())
    stage.engine.fail("stop", ContainerError("out of order"))
    with pytest.raises(ContainerError):
        execution.stop()
    stage.engine.finish(execution.container_id)
    assert execution.wait(10).outcome is Outcome.SUCCEEDED
    (folder,) = stage.records()
    assert events(folder) == [("ending", "stopped"), ("not_ended", "stopped")]


@pytest.mark.parametrize("asked", ["by its wall time", "by a stop"])
def test_what_ended_while_the_engine_did_not_answer_ended_by_itself(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    frozen, wait = threading.Event(), stage.engine.wait

    def late(container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        if timeout and not frozen.is_set():  # nothing of the end that comes meanwhile is heard
            frozen.wait(timeout)
            return None
        if not any(map(events, stage.records())):  # a look before it is told to end
            return None
        stage.engine.finish(container.id)
        frozen.set()
        status: ContainerStatus | None = wait(container, timeout=timeout)
        return status

    monkeypatch.setattr(stage.engine, "wait", late)
    execution = stage.orchestrator.begin(make_bot(timeout=0.05 if "wall" in asked else 60.0))
    if asked == "by a stop":
        execution.stop()
    assert execution.wait(10).outcome is Outcome.SUCCEEDED
    (folder,) = stage.records()
    why = "timed_out" if "wall" in asked else "stopped"
    assert events(folder) == [("ending", why), ("not_ended", why)], "a successor comes to the same"


@pytest.mark.parametrize("exit_code", [143, 137, 3])
def test_an_engine_that_goes_away_after_it_sent_the_signal_has_stopped_it(
    make_stage: MakeStage, make_bot: MakeBot, exit_code: int
) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    execution = stage.orchestrator.begin(make_bot())
    stage.engine.fail("stop", EngineTimeoutError("no answer"))
    with pytest.raises(EngineTimeoutError):
        execution.stop()
    stage.engine.finish(execution.container_id, exit_code=exit_code)
    assert execution.wait(10).outcome is Outcome.STOPPED


def test_a_bot_with_a_handler_is_stopped_though_the_answer_to_the_stop_was_lost(
    make_stage: MakeStage, make_bot: MakeBot
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True, farewell=b"bye\n")))
    execution = stage.orchestrator.begin(make_bot())
    stage.engine.faults.add(Fault(operation="stop", kind=FaultKind.FAIL_AFTER))
    execution.end_soon(Outcome.STOPPED, grace=None)
    result = execution.wait(10)
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, 3)


def test_what_runs_on_after_a_stop_without_an_answer_ends_as_it_ends(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    execution = stage.orchestrator.begin(make_bot())
    stage.engine.fail("stop", EngineTimeoutError("no answer"))
    with pytest.raises(EngineTimeoutError):
        execution.stop(grace=0.0)
    (folder,) = stage.records()
    until(lambda: ("not_ended", "stopped") in events(folder))
    stage.engine.finish(execution.container_id, exit_code=3)
    assert execution.wait(10).outcome is Outcome.FAILED


def test_wall_time_is_enforced_as_soon_as_the_engine_can(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    stage.engine.fail("stop", ContainerError("out of order"), times=3)
    result = stage.orchestrator.execute_bot(make_bot(timeout=0.05))
    assert (result.outcome, stage.engine.operations.count("stop")) == (Outcome.TIMED_OUT, 4)


def test_an_output_limit_is_enforced_as_soon_as_the_engine_can(
    make_stage: MakeStage, make_bot: MakeBot, records: list[Any]
) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"x" * 100),), forever=True)))
    stage.engine.fail("stop", ContainerError("out of order"), times=3)
    result = stage.orchestrator.execute_bot(make_bot(limits=Limits(output=10)))
    assert (result.outcome, stage.engine.operations.count("stop")) == (Outcome.OUTPUT_LIMIT, 4)
    said = [record for record in records if record["message"] == "could not end the container"]
    assert {record["extra"].get("execution_id") for record in said} == {result.execution_id}


def test_a_long_running_bot_is_not_ended_for_its_output(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"x" * 100), Script.out(b"done\n")), exit_code=0)))
    execution = stage.orchestrator.begin(make_bot(is_long_running=True, limits=Limits(output=10)))
    assert execution.wait(10).outcome is Outcome.SUCCEEDED


def broken(*_: object, **__: object) -> None:
    raise ArithmeticError("a defect of ours")


@pytest.mark.parametrize("where", ["conclude", "failed", "on_done"])
def test_no_caller_waits_for_ever_whatever_breaks(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    stage = make_stage()
    if where == "on_done":
        monkeypatch.setattr(stage.metrics, "record_execution", broken)
    else:
        monkeypatch.setattr(stage.orchestrator._conclusion, "conclude", broken)
    if where == "failed":
        monkeypatch.setattr(stage.orchestrator._conclusion, "failed", broken)
    execution = stage.orchestrator.begin(make_bot())
    result = execution.wait(10)
    assert result is not None, "it ends"
    assert result.outcome is (Outcome.SUCCEEDED if where == "on_done" else Outcome.INFRASTRUCTURE_ERROR)
    if where == "failed":
        monkeypatch.undo()
        assert not list(stage.home.glob("executions/*/outcome.json")), "its successor will see to it"


def test_what_breaks_after_the_end_changes_nothing_of_it(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage()
    monkeypatch.setattr(stage.orchestrator._conclusion, "resume", broken)
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.outcome is Outcome.SUCCEEDED
    assert "ArithmeticError" in result.evidence["botdock_failed"]
    assert stage.leftovers == []


@pytest.mark.parametrize("operation", ["ensure_image", "create", "start"])
def test_what_is_just_being_started_when_the_runner_closes_is_given_up(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    reached, goes_on, said = threading.Event(), threading.Event(), []
    real = getattr(stage.engine, operation)

    def slow(*arguments: Any, **options: Any) -> Any:
        reached.set()
        goes_on.wait(20)
        return real(*arguments, **options)

    def begin() -> None:
        try:
            stage.orchestrator.begin(make_bot())
        except BotdockError as error:
            said.append(error.message)

    monkeypatch.setattr(stage.engine, operation, slow)
    beginner, closer = threading.Thread(target=begin), threading.Thread(target=stage.orchestrator.close)
    beginner.start()
    assert reached.wait(20)
    closer.start()
    while not stage.orchestrator._running._closed:
        reached.wait(0.01)
    goes_on.set()
    beginner.join(20)
    closer.join(20)
    assert said == ["this runner is closed"]
    assert stage.leftovers == stage.records() == []
    assert list(stage.home.glob("runners/*")) == []


def test_a_closed_runner_begins_nothing(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    stage.orchestrator.close()
    with pytest.raises(BotdockError, match="closed"):
        stage.orchestrator.begin(make_bot())
    assert stage.records() == []


def test_the_log_of_one_whose_exit_is_not_known_is_not_complete(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"hi\n"),))))
    known = ContainerStatus(container_id="c", state=ContainerState.EXITED, exit_code=None, error="the end was not seen")
    monkeypatch.setattr(stage.engine, "wait", lambda *_args, **_options: known)
    execution = stage.orchestrator.begin(make_bot())
    assert execution.wait(timeout=30) is not None
    assert (execution.result.exit_code, execution.result.log.complete) == (None, False)


def test_an_image_that_the_engine_names_exactly_at_the_end_is_recorded(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine())
    known = ContainerStatus(container_id="c", state=ContainerState.EXITED, exit_code=0, image_digest="sha256:1")
    monkeypatch.setattr(stage.engine, "wait", lambda *_, **__: known)
    assert stage.orchestrator.begin(make_bot()).wait(60).image_digest == "sha256:1"


def test_a_runner_that_is_closed_leaves_the_rest_of_a_long_log_to_its_successor(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_orchestrator, "LOG_PATIENCE", 0.05)
    config = Config(containers=ContainersConfig(call_timeout=3), runtime=RuntimeConfig(grace=1))
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"hi\n"),))), config=config)
    left, release = threading.Event(), stage.logs.release
    monkeypatch.setattr(stage.logs, "wait_drained", lambda *_: not left.wait(30))

    def released(execution_id: str) -> None:
        release(execution_id)
        left.set()

    monkeypatch.setattr(stage.logs, "release", released)
    execution = stage.orchestrator.begin(make_bot())
    container = ContainerHandle(id=execution.container_id)
    until(lambda: stage.engine.wait(container, timeout=0) is not None)  # else the close would be what ended it
    stage.orchestrator.close()
    execution.wait(60)
    assert (execution.done, execution.result.outcome) == (True, None)
    (folder,) = stage.records()
    assert not (folder / "outcome.json").exists()
    (recovered,) = stage.successor().orchestrator.recover()
    assert recovered.wait(30) is not None
    assert (recovered.result.outcome, recovered.result.log.complete) == (Outcome.SUCCEEDED, True)
