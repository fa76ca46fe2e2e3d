"""What is owed: an execution is finished when nothing of it is left, and not before; strays are found and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock._boot_clock import moment
from botdock.config import Config, RetentionConfig
from botdock.errors import BotdockError, ContainerError, EngineUnavailableError, StorageError
from botdock.executions import Executions
from botdock.model import ContainerHandle, Executable, Outcome
from botdock.model.container import LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator import recovery, running, strays
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

AWAY = EngineUnavailableError("connection refused")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a runner try again at once, or not before it is closed; see `patient`."""
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE", 1000.0)


def outcome_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
    return document


def given_up(stage: Any, bot: Executable, *, times: int | None) -> tuple[Any, Path]:
    """Run a bot whose engine goes away under it, and stays away for that many attempts to remove it."""
    stage.engine.fail("wait", AWAY, times=None)
    stage.engine.fail("remove", AWAY, times=times)
    result = stage.orchestrator.execute_bot(bot)
    return result, stage.home / "executions" / result.execution_id


def test_an_execution_whose_container_may_live_is_not_finished(
    make_stage: MakeStage, make_bot: MakeBot, patient: None
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True), check_mounts=True))
    result, folder = given_up(stage, make_bot(secrets={"KEY": "canary-value"}), times=None)
    assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, None)
    assert result.evidence["left_behind"] == ["container: connection refused"]
    assert not (folder / "outcome.json").exists()
    assert not (folder / "workspace").exists(), "secrets do not wait for the engine"
    (seen,) = make_stage(stage.engine.successor()).orchestrator.leftovers()
    assert (seen.kind, seen.name, seen.action) == ("execution", result.execution_id, "its runner tries again")
    assert "connection refused" in seen.reason
    stage.orchestrator.close()
    (seen,) = make_stage(stage.engine.successor()).orchestrator.leftovers()
    assert seen.action == "end and remove its container, finish it"
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    again = execution.wait(20)
    assert again.outcome is Outcome.INFRASTRUCTURE_ERROR
    document = outcome_of(folder)
    assert document["evidence"]["removed_later"] == ["container: connection refused"]
    assert document["evidence"]["recovered"]["times"] == 1
    assert "left_behind" not in document["evidence"]
    assert (document["error"], second.left) == (result.error, [])
    assert second.orchestrator.leftovers() == []


def test_its_own_runner_tries_again_until_it_can(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    result, folder = given_up(stage, make_bot(), times=4)
    assert "left_behind" in result.evidence
    until((folder / "outcome.json").exists)
    assert outcome_of(folder)["evidence"]["removed_later"] == ["container: connection refused"]
    assert stage.leftovers == []
    assert len(stage.metrics.results) == 1, "it ended once"
    assert (folder / "events.jsonl").read_text().count('"clean_up"') == 1, "it may be tried for months"


def test_a_runner_that_is_closed_tries_once_more(make_stage: MakeStage, make_bot: MakeBot, patient: None) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    result, folder = given_up(stage, make_bot(), times=1)
    assert "left_behind" in result.evidence
    stage.orchestrator.close()
    assert outcome_of(folder)["outcome"] == "infrastructure_error"
    assert stage.leftovers == []


def test_the_next_runner_finishes_what_is_over_and_leaves_what_may_run(
    make_stage: MakeStage, make_bot: MakeBot, begun: Any, patient: None
) -> None:
    dead, before, running = begun()
    stage = dead.make(dead.engine.successor())
    _, folder = given_up(stage, make_bot(), times=None)
    stage.orchestrator.close()
    third = dead.successor()
    third.orchestrator.execute_bot(make_bot(is_long_running=True))
    until((folder / "outcome.json").exists)
    assert not (running / "outcome.json").exists()
    (execution,) = third.orchestrator.recover()
    assert execution.execution_id == before.execution_id
    execution.kill()


@pytest.mark.parametrize("error", [StorageError("busy", backend="disk"), OSError(24, "Too many open files")])
def test_a_workspace_that_stays_is_owed_too(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stage = make_stage()
    failing(monkeypatch, stage.orchestrator._services.code, "cleanup_workspace", error, times=2)
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.outcome is Outcome.SUCCEEDED
    assert result.evidence["left_behind"][0].startswith("workspace: ")
    folder = stage.home / "executions" / result.execution_id
    until((folder / "outcome.json").exists)
    assert outcome_of(folder)["outcome"] == "succeeded"
    until(lambda: stage.left == [])


def test_an_outcome_that_cannot_be_written_is_written_later(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botdock.orchestrator.journal import Journal

    stage = make_stage()
    failing(monkeypatch, Journal, "finish", OSError(24, "Too many open files"), times=2)
    result = stage.orchestrator.execute_bot(make_bot())
    folder = stage.home / "executions" / result.execution_id
    until((folder / "outcome.json").exists)
    until(lambda: stage.left == [])


def failing(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception, *, times: int) -> None:
    real, left = getattr(owner, name), [error] * times

    def call(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("error", [ContainerError("no"), KeyboardInterrupt(), ValueError("a defect")])
def test_a_start_that_failed_is_owed_as_well(
    make_stage: MakeStage, make_bot: MakeBot, patient: None, error: BaseException
) -> None:
    stage = make_stage()
    stage.engine.fail("start", error)
    stage.engine.fail("remove", AWAY, times=None)
    with pytest.raises(type(error)):
        stage.orchestrator.execute_bot(make_bot())
    (folder,) = stage.records()
    assert not (folder / "outcome.json").exists()
    stage.orchestrator.close()
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    assert execution.wait(20).outcome is Outcome.INFRASTRUCTURE_ERROR
    assert second.left == []


def test_a_log_that_cannot_be_closed_keeps_no_container_alive(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    execution = stage.orchestrator.begin(make_bot())
    failing(monkeypatch, stage.logs, "stop_collection", RuntimeError("a defect"), times=2)
    execution.kill()
    result = execution.wait(20)
    assert result is not None
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR
    until(lambda: stage.left == [])
    assert (stage.home / "executions" / result.execution_id / "outcome.json").exists()


def container(stage: Any, name: str, **labels: str) -> str:
    """Make a container that no execution of ours has asked for."""
    (model,) = [call.arguments for call in stage.engine.calls if call.operation == "create"][:1]
    made: ContainerHandle = stage.engine.create(
        model["template"], attrs.evolve(model["run"], name=name, selectors={}, annotations=labels), timeout=1
    )
    return made.id


@pytest.fixture
def strewn(make_stage: MakeStage, make_bot: MakeBot) -> tuple[Any, set[str], str]:
    """A state folder with strays of each kind, their names, and a container that is another's."""
    stage = make_stage()
    first, second = (stage.orchestrator.execute_bot(make_bot()).execution_id for _ in range(2))
    foreign = container(stage, "foreign", **{LABEL_OWNER: "other", LABEL_EXECUTION: first})
    container(stage, "unlabelled", **{LABEL_EXECUTION: first})
    workspace = stage.home / "executions" / second / "workspace"
    (workspace / "context").mkdir(parents=True)
    (workspace / "context/context.json").write_text("canary-value")
    names = {
        container(stage, "finished", **{LABEL_OWNER: "me", LABEL_EXECUTION: first}),
        container(stage, "gone", **{LABEL_OWNER: "me", LABEL_EXECUTION: "01jd9pz7p0k0v6r3h2m4n5q8st"}),
        container(stage, "odd", **{LABEL_OWNER: "me", LABEL_EXECUTION: "../.."}),
        str(workspace),
    }
    return stage, names, foreign


def there(stage: Any) -> set[str]:
    return {info.container_id for info in stage.engine.list({}, timeout=1)} | set(
        map(str, stage.home.glob("executions/*/workspace"))
    )


def test_strays_go_when_they_are_seen_twice_and_a_grace_time_apart(
    strewn: tuple[Any, set[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, names, foreign = strewn
    before = there(stage)
    seen = stage.orchestrator.leftovers()
    assert {one.name for one in seen} == names
    assert all("seen again in 600 s" in one.action for one in seen)
    assert not (stage.home / "sightings.json").exists(), "a look changes nothing"
    stage.orchestrator.recover()
    stage.successor().orchestrator.recover()
    assert there(stage) == before, "the grace time is not over"
    monkeypatch.setattr(strays, "STRAY_GRACE", 0.0)
    assert {one.action for one in stage.orchestrator.leftovers()} == {"remove it"}
    assert there(stage) == before
    stage.engine.fail("remove", ContainerError("busy"))
    stage.orchestrator.recover()
    (left,) = there(stage) & names
    assert foreign in there(stage)
    stage.successor().orchestrator.recover()
    assert there(stage) == before - names
    assert left not in (stage.home / "sightings.json").read_text()


@pytest.mark.parametrize("content", ["", "[]", '{"seen": 3}', '{"seen": {"workspace x": "y"}}', "\x00"])
def test_sightings_that_are_damaged_or_of_another_boot_begin_anew(
    strewn: tuple[Any, set[str], str], content: str
) -> None:
    stage, names, _ = strewn
    (stage.home / "sightings.json").write_text(content)
    stage.orchestrator.recover()
    seen = json.loads((stage.home / "sightings.json").read_text())["seen"]
    assert len(seen) == len(names)
    (here,) = {json.dumps(moment) for moment in seen.values()}
    ages: Any = ({"monotonic_ns": 10**40}, {"monotonic_ns": 10**400}, {"monotonic_ns": True}, {"boot": []})
    odds: Any = (1.0, float("nan"), None, "x", [], {})
    for odd in (*odds, *({**json.loads(here), **age} for age in ages)):
        (stage.home / "sightings.json").write_text(json.dumps({"seen": dict.fromkeys(seen, odd)}))
        stage.orchestrator.recover()
        assert names <= there(stage), odd


def test_what_another_engine_left_stays_noted(strewn: tuple[Any, set[str], str]) -> None:
    stage, _, _ = strewn
    known = moment()
    (stage.home / "sightings.json").write_text(json.dumps({"seen": {"other container c1": known}}))
    stage.orchestrator.recover()
    assert json.loads((stage.home / "sightings.json").read_text())["seen"]["other container c1"] == known


def test_an_engine_that_is_away_does_not_end_the_retries(
    make_stage: MakeStage, make_bot: MakeBot, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LONGEST_PAUSE", 0.01)
    stage = make_stage(FakeEngine(Script(forever=True)))
    _, folder = given_up(stage, make_bot(), times=None)
    stage.orchestrator.close()
    second = stage.successor()
    second.engine.fail("list", AWAY, times=3)
    second.orchestrator.begin(make_bot())
    until((folder / "outcome.json").exists)
    with pytest.raises(BotdockError):
        stage.orchestrator.recover()


def test_a_runner_removes_what_the_configuration_does_not_keep_and_nothing_that_runs(
    make_stage: MakeStage, make_bot: MakeBot
) -> None:
    other = make_stage(FakeEngine(Script(forever=True)))
    running = other.orchestrator.begin(make_bot())
    stage = make_stage(config=Config(retention=RetentionConfig(keep=1)))
    ended = [stage.orchestrator.execute_bot(make_bot()).execution_id for _ in range(3)]
    stage.orchestrator.close()
    left = {one.execution_id for one in Executions(stage.home).list()}
    assert left == {running.execution_id, ended[-1]}
