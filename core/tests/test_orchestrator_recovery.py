"""A runner dies, and its successor takes over: what runs goes on, what ended is finished, nothing is left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.model import ContainerHandle, ContainerState, ContainerStatus, Executable, Outcome
from botdock.orchestrator import recovery
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script, envelope
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

VALUE = envelope(b'{"pnl": 1.5}')


def ended(execution: Any) -> Any:
    result = execution.wait(20)
    assert result is not None, "it ends"
    return result


def outcome_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
    return document


def test_what_runs_is_adopted_and_goes_on_as_if_nothing_had_happened(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun(timeout=30)
    stage.engine.emit(before.container_id, b"unseen\n")
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    assert (execution.execution_id, execution.container_id) == (before.execution_id, before.container_id)
    assert second.orchestrator.find(before.container_id) is execution
    lines = execution.logs(follow=True)
    assert [next(lines).text, next(lines).text] == ["tick", "unseen"]
    stage.engine.emit(before.container_id, b"later\n")
    assert next(lines).text == "later"
    stage.engine.finish(before.container_id)
    result = ended(execution)
    assert (result.outcome, result.exit_code, result.value) == (Outcome.SUCCEEDED, 0, {"pnl": 1.5})
    assert result.output == "tick\nunseen\nlater\n"
    assert (result.log.bytes, result.log.gaps, result.log.complete) == (18, 0, True)
    assert result.evidence["recovered"]["times"] == len(result.evidence["recovered"]["at"]) == 1
    assert result.image_digest.startswith("sha256:")
    assert result.evidence["bounds"]["timeout"] == {"value": 30, "source": "caller"}
    assert {"fetch", "create", "wait", "stream", "clean_up"} <= set(result.phases)
    assert outcome_of(folder)["log"]["sha256"] == result.log.sha256
    assert second.metrics.results == [result]
    assert second.notices[-1][1]["executable"].id == "bot"
    assert second.left == []


def test_what_is_adopted_can_be_stopped(make_stage: MakeStage, begun: Any) -> None:
    stage, before, _ = begun(is_long_running=True)
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    second.orchestrator.stop_execution(before.execution_id)
    assert (ended(execution).outcome, execution.result.output) == (Outcome.STOPPED, "tick\nbye\n")


def test_what_ended_meanwhile_is_finished(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    stage.engine.emit(before.container_id, b"last words")
    stage.engine.finish(before.container_id, exit_code=3)
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert (result.outcome, result.exit_code, result.output) == (Outcome.FAILED, 3, "tick\nlast words")
    assert result.log.complete
    assert outcome_of(folder)["exit_code"] == 3
    assert [line.text for line in execution.logs()] == ["tick", "last words"]
    assert second.left == []


def test_every_takeover_is_counted(make_stage: MakeStage, begun: Any) -> None:
    stage, before, _ = begun()
    for number in range(3):
        stage = stage.successor()
        (execution,) = stage.orchestrator.recover()
        stage.engine.emit(before.container_id, b"%d\n" % number)
        lines = execution.logs(follow=True)
        assert number in [int(line.text) for line in (next(lines) for _ in range(number + 2)) if line.text != "tick"]
        stage.die()
    stage = stage.successor()
    (execution,) = stage.orchestrator.recover()
    stage.engine.finish(before.container_id)
    assert ended(execution).evidence["recovered"]["times"] == 4
    assert execution.result.output == "tick\n0\n1\n2\n"
    assert stage.left == []


def test_wall_time_goes_on_while_no_runner_watches(make_stage: MakeStage, begun: Any) -> None:
    stage, _, folder = begun(timeout=1000)
    run = json.loads((folder / "run.json").read_text())
    run["bounds"]["timeout"] = 0.01
    (folder / "run.json").write_text(json.dumps(run))
    (execution,) = stage.successor().orchestrator.recover()
    assert ended(execution).outcome is Outcome.TIMED_OUT


def test_a_bot_that_ended_in_time_did_so_however_late_a_runner_looks(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun(timeout=1000)
    stage.engine.finish(before.container_id)
    run = json.loads((folder / "run.json").read_text())
    run["bounds"]["timeout"] = 0.0001
    (folder / "run.json").write_text(json.dumps(run))
    (execution,) = stage.successor().orchestrator.recover()
    assert ended(execution).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("ends_first", [True, False])
@pytest.mark.parametrize("why", [Outcome.STOPPED, Outcome.TIMED_OUT, Outcome.OUTPUT_LIMIT])
def test_an_ending_that_was_under_way_is_taken_up(
    make_stage: MakeStage, begun: Any, why: Outcome, *, ends_first: bool
) -> None:
    stage, before, folder = begun()
    with (folder / "events.jsonl").open("a") as events:
        events.write(json.dumps({"event": "ending", "why": why.value, "failure": ""}) + "\n")
    if ends_first:
        stage.engine.finish(before.container_id, exit_code=3)
    (execution,) = stage.successor().orchestrator.recover()
    assert ended(execution).outcome is why


def test_an_ending_that_failed_is_forgotten(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    with (folder / "events.jsonl").open("a") as events:
        for event in ("ending", "not_ended"):
            events.write(json.dumps({"event": event, "why": "stopped", "failure": ""}) + "\n")
    (execution,) = stage.successor().orchestrator.recover()
    stage.engine.finish(before.container_id)
    assert ended(execution).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("operation", ["ensure_image", "create", "attach", "start"])
def test_a_bot_that_was_never_started_is_said_to_be_so(
    make_stage: MakeStage, make_bot: MakeBot, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    stage = make_stage()
    stage.engine.delay(operation, 1000)
    threading.Thread(target=stage.orchestrator.begin, args=(make_bot(),), daemon=True).start()
    until(lambda: operation in stage.engine.operations)
    stage.die()
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert "died before the bot was started" in result.error
    assert result.evidence["phase"] == {"ensure_image": "pull"}.get(operation, operation)
    assert second.left == []


def test_a_container_whose_identity_was_not_noted_yet_is_found(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "container": None, "started_ns": 0}))
    (execution,) = stage.successor().orchestrator.recover()
    assert execution.container_id == before.container_id
    stage.engine.finish(before.container_id)
    assert ended(execution).outcome is Outcome.SUCCEEDED


def test_one_that_appears_a_little_later_is_waited_for(
    make_stage: MakeStage, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 30.0)
    stage, before, folder = begun()
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "container": None, "started_ns": 0}))
    second = stage.successor()
    real, listed = second.engine.list, 0

    def late(labels: dict[str, str], *, timeout: float) -> Any:
        nonlocal listed
        listed += 1
        return real(labels, timeout=timeout) if listed == 3 else []

    monkeypatch.setattr(second.engine, "list", late)
    (execution,) = second.orchestrator.recover()
    assert execution.container_id == before.container_id
    assert listed == 3
    execution.kill()


def test_one_that_is_started_a_little_later_is_waited_for(
    make_stage: MakeStage, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 30.0)
    stage, before, _folder = begun()
    second = stage.successor()
    real, looks = second.engine.inspect, 0

    def late(container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        nonlocal looks
        looks += 1
        created = ContainerStatus(container_id=container.id, state=ContainerState.CREATED)
        return real(container, timeout=timeout) if looks > 3 else created

    monkeypatch.setattr(second.engine, "inspect", late)
    (execution,) = second.orchestrator.recover()
    stage.engine.finish(before.container_id)
    result = ended(execution)
    assert (result.outcome, result.output) == (Outcome.SUCCEEDED, "tick\n")


def test_a_container_that_is_gone_is_lost_with_what_is_known_of_it(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    stage.engine.remove(ContainerHandle(id=before.container_id), timeout=1)
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert (result.outcome, result.exit_code, result.output) == (Outcome.LOST, None, "tick\n")
    assert "container is gone" in result.error
    assert (result.log.bytes, result.log.complete) == (5, False)
    assert outcome_of(folder)["outcome"] == "lost"
    assert second.left == []


def test_a_log_that_was_closed_already_is_taken_as_it_is(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    stage.engine.finish(before.container_id)
    stage.engine.emit(before.container_id, b"behind the end")
    close_log(folder)
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert (result.outcome, result.output) == (Outcome.SUCCEEDED, "tick\n")
    assert (result.log.bytes, result.log.complete) == (5, True)
    assert second.left == []


def test_a_bot_whose_log_was_closed_while_it_ran_goes(make_stage: MakeStage, begun: Any) -> None:
    stage, _, folder = begun()
    close_log(folder)
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    assert (ended(execution).outcome, execution.result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, None)
    assert second.left == []


def close_log(folder: Path) -> None:
    from botdock.services.log_store import LogWriter

    writer = LogWriter(folder / "logs")
    writer.finish(complete=True)
    writer.close()


@pytest.mark.parametrize("spoil", [False, True])
def test_of_what_is_concluded_only_the_rest_is_done(make_stage: MakeStage, make_bot: MakeBot, spoil: bool) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"tick\n"),), result=VALUE), check_mounts=True))
    real, reached, for_ever = stage.storage.store_results, threading.Event(), threading.Event()

    def hang(*arguments: Any) -> None:
        reached.set()
        for_ever.wait()

    stage.storage.store_results = hang
    before = stage.orchestrator.begin(make_bot(persist_results=True))
    assert reached.wait(20)
    stage.die()
    folder = stage.home / "executions" / before.execution_id
    assert (folder / "concluded.json").exists()
    assert not (folder / "outcome.json").exists()
    stored = set(stage.storage.objects)
    value = folder / "result.json"
    assert value.read_bytes() == b'{"value": {"pnl": 1.5}}'
    if spoil:
        value.write_bytes(value.read_bytes()[:-1])
    stage.storage.store_results = real
    stage.storage.objects.clear()
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert result.output == "tick\n"
    if spoil:
        assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, 0), "what is lost is not a success"
        assert (result.value, "result.json" in result.error) == (None, True)
    else:
        assert (result.outcome, result.value) == (Outcome.SUCCEEDED, {"pnl": 1.5})
        assert result.result_file_contents == b'{"pnl": 1.5}'
    assert result.log.bytes == 5
    assert result.evidence["recovered"]["times"] == 1
    assert f"logs/bot/{before.execution_id}/end.json" in stored
    assert set(stage.storage.objects) == {f"executions/{before.execution_id}/result.json"}, "and nothing twice"
    assert second.left == []
