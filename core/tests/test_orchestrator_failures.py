"""What fails, in each phase: who is to blame, what is recorded, and that nothing is left behind."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from botdock.config import Config, ContainersConfig, RuntimeConfig
from botdock.errors import (
    BotdockError,
    CodeError,
    ContainerError,
    ContainerNotFoundError,
    EngineUnavailableError,
    ExecutableError,
    ImageError,
    LogError,
    NotFoundError,
    PolicyError,
)
from botdock.model import ENTRYPOINTS, Executable, Outcome
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.faults import Fault, FaultKind
from botdock_testing.script import Script, envelope
from testbed.drills import count
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]


USER_MISTAKES: list[tuple[dict[str, Any], type[BotdockError], str]] = [
    ({"runtime": "shel"}, NotFoundError, "validate"),
    ({"file_path": ""}, ExecutableError, "validate"),
    ({"network": "wide-open"}, PolicyError, "validate"),
    ({"file_path": "nowhere"}, CodeError, "fetch"),
    ({"entrypoint_files": {"bot": "missing.sh"}}, CodeError, "validate"),
]


@pytest.mark.parametrize(("fields", "error", "phase"), USER_MISTAKES)
def test_a_users_mistake_leaves_nothing_at_all(
    make_stage: MakeStage, make_bot: MakeBot, fields: dict[str, Any], error: type[BotdockError], phase: str
) -> None:
    stage = make_stage()
    with pytest.raises(error) as caught:
        stage.orchestrator.execute_bot(make_bot(**fields))
    assert (caught.value.phase, caught.value.exit_code) == (phase, 2)
    assert stage.leftovers == []
    assert stage.records() == []


PHASES = [("ensure_image", "pull"), ("create", "create"), ("attach", "attach"), ("start", "start")]


@pytest.mark.parametrize(("operation", "phase"), PHASES)
def test_an_engine_that_fails_before_the_start_is_an_error_with_its_phase_and_a_record(
    make_stage: MakeStage, make_bot: MakeBot, operation: str, phase: str
) -> None:
    stage = make_stage()
    stage.engine.fail(operation, ContainerError("out of order"))
    with pytest.raises(ContainerError) as caught:
        stage.orchestrator.execute_bot(make_bot())
    assert (caught.value.phase, caught.value.exit_code) == (phase, 125)
    assert stage.leftovers == []
    (record,) = stage.records()
    outcome = json.loads((record / "outcome.json").read_text())
    assert outcome["execution_id"] == caught.value.execution_id
    assert (outcome["outcome"], outcome["evidence"]["phase"]) == ("infrastructure_error", phase)
    assert stage.notices[-1][0] == "botdock_on_execution_error"
    assert stage.metrics.results[-1].outcome is Outcome.INFRASTRUCTURE_ERROR


@pytest.mark.parametrize("away", [False, True])
def test_a_container_that_a_failed_create_made_goes_before_the_outcome_is_there(
    make_stage: MakeStage, make_bot: MakeBot, away: bool
) -> None:
    stage = make_stage()
    stage.engine.faults.add(Fault(operation="create", kind=FaultKind.FAIL_AFTER))
    stage.engine.faults.add(*([Fault(operation="list")] if away else []))
    with pytest.raises(EngineUnavailableError) as caught:
        stage.orchestrator.begin(make_bot())
    (record,) = stage.records()
    assert caught.value.phase == "create"
    until(lambda: not stage.left)
    evidence = json.loads((record / "outcome.json").read_text())["evidence"]
    assert ("removed_later" in evidence) is away


def test_an_absent_image_is_an_image_error(make_stage: MakeStage, make_bot: MakeBot) -> None:
    with pytest.raises(ImageError):
        make_stage(FakeEngine(images=())).orchestrator.execute_bot(make_bot())


def test_an_engine_that_goes_away_while_the_bot_runs_is_a_result(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    stage.engine.fail("wait", EngineUnavailableError("connection refused"), times=None)
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, None)
    assert "connection refused" in result.error


def test_a_log_that_can_be_stored_no_longer_ends_the_bot_and_says_how_to_mend_it(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    start, told = stage.logs.start_collection, []

    def started(*arguments: Any, **options: Any) -> None:
        told.append(options["on_failure"])
        start(*arguments, **options)

    monkeypatch.setattr(stage.logs, "start_collection", started)
    execution = stage.orchestrator.begin(make_bot())
    told[0](LogError("cannot write the log: No space left on device", hint="Free some space."))
    result = execution.wait(10)
    assert result is not None
    assert (result.outcome, stage.leftovers) == (Outcome.INFRASTRUCTURE_ERROR, [])
    assert result.error == "cannot write the log: No space left on device. Free some space."


def test_an_engine_that_comes_back_is_waited_for(make_stage: MakeStage, make_bot: MakeBot) -> None:
    config = Config(containers=ContainersConfig(reconnect_timeout=30), runtime=RuntimeConfig(timeout=30))
    stage = make_stage(FakeEngine(Script(exit_code=0, result=envelope(b"{}"))), config=config)
    stage.engine.fail("wait", EngineUnavailableError("restarting"), times=2)
    assert stage.orchestrator.execute_bot(make_bot()).outcome is Outcome.SUCCEEDED


def test_a_container_that_vanishes_is_lost(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    stage.engine.fail("wait", ContainerNotFoundError("no such container"))
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.exit_code) == (Outcome.LOST, None)


WHOLE = envelope(b'{"pnl": 1.5}')


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_a_result_of_which_a_byte_is_missing_is_never_a_success(
    make_stage: MakeStage, make_bot: MakeBot, entrypoint: str
) -> None:
    for size in {*range(0, len(WHOLE), count(1, 9)), len(WHOLE) - 1}:
        stage = make_stage(FakeEngine(Script(result=WHOLE[:size])))
        result = getattr(stage.orchestrator, f"execute_{entrypoint}")(make_bot(entrypoint=entrypoint))
        assert (result.outcome, result.value) == (Outcome.INFRASTRUCTURE_ERROR, None), WHOLE[:size]
        assert (result.exit_code, result.evidence["exit_code"]) == (0, 0), "the bot's own code stays known"
        assert result.error == f"its result is lost: {result.evidence['result_lost']}"
        assert stage.leftovers == []


def test_a_result_that_cannot_be_fetched_is_lost(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(result=WHOLE)))
    stage.engine.fail("fetch_result", ContainerError("no"))
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, 0)
    assert result.error == "its result is lost: the result could not be fetched: no"


def test_a_bots_own_failure_is_told_even_if_its_result_is_lost(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(result=b"", exit_code=3)))
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.error) == (Outcome.FAILED, "exit code 3")
    assert result.evidence["result_lost"] == "the result file is empty"


def test_a_bot_may_end_past_its_wrapper_and_a_backtest_may_not(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script()))
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.evidence["result"]) == (Outcome.SUCCEEDED, "none written")
    result = stage.orchestrator.execute_backtest(make_bot(entrypoint="backtest"))
    assert (result.outcome, result.error.split(":")[0]) == (Outcome.FAILED, "ended without its result")
