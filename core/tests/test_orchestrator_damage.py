"""Records that are damaged: each is ended with what is known of it, and hinders no other."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from botdock.model import Executable, Outcome
from botdock.orchestrator import recovery
from botdock.orchestrator.journal import result_document
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.drills import count
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

FOREVER = Script(forever=True)


def ended(execution: Any) -> Any:
    result = execution.wait(20)
    assert result is not None, "it ends"
    return result


def damages(name: str, content: bytes) -> list[bytes]:
    """Return each beginning of a document, and others that are JSON but not that document."""
    others = [b"[]", b"\xff", b"[" * 100_000, b'{"engine": "fake", "id": "../.."}', b'{"runtime": "shell"}']
    return [content[:size] for size in range(len(content))] + others


@pytest.mark.parametrize("name", ["request.json", "run.json"])
def test_a_damaged_record_is_ended_with_what_is_known_of_it(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    stage = make_stage(FakeEngine(FOREVER))
    first = stage.orchestrator.begin(make_bot()).execution_id
    folder = stage.home / "executions" / first
    made = damages(name, (folder / name).read_bytes())
    step = 1 + len(made) // count(40, 15)
    made = made[random.randrange(step) :: step]
    others = [stage.orchestrator.begin(make_bot()).execution_id for _ in made[1:]]
    stage.die()
    for execution_id, content in zip([first, *others], made, strict=True):
        (stage.home / "executions" / execution_id / name).write_bytes(content)
    second = stage.successor()
    whole = make_stage(stage.engine.successor()).orchestrator.begin(make_bot())
    executions = second.orchestrator.recover()
    assert [execution.execution_id for execution in executions] == sorted([first, *others])
    for execution in executions:
        result = ended(execution)
        assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, None)
        assert name in result.evidence["damaged"]
        assert result.evidence["container"]["state"] == "running"
        assert (result.id, result.log.complete) == ("bot", False)
    assert [info.container_id for info in second.engine.list({}, timeout=1)] == [whole.container_id]
    assert second.orchestrator.leftovers() == []


ODD = [None, "x", -1, 10**400, 1e308, [], {}, True, ["x"], {"x": {"x": 1}}, "../../..", float("inf")]


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in document if isinstance(document, dict) else ():
        yield from leaves(document[key], (*path, key))


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    return {**document, path[0]: with_value(document[path[0]], path[1:], value)} if path else value


@pytest.mark.parametrize("name", ["request.json", "run.json", "concluded.json", "stored.json", "events.jsonl"])
def test_an_odd_value_in_a_record_hinders_no_other_and_keeps_nothing_alive(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    over = make_stage()
    result = over.orchestrator.execute_bot(make_bot())
    stage = make_stage(FakeEngine(FOREVER))
    first = stage.orchestrator.begin(make_bot())
    folder = stage.home / "executions" / first.execution_id
    model = result_document(result) if name == "concluded.json" else {"segments": 1, "value": True, "log": False}
    if name == "events.jsonl":
        model = {"event": "recovered", "time_ns": 1, "why": "stopped", "failure": "", "phase": "wait", "engine": "fake"}
    elif (folder / name).exists():
        model = json.loads((folder / name).read_text())
    elsewhere = {("engine",), ("runtime",), ("version",)}  # they say that it is for another runner
    made = [with_value(model, path, value) for path in leaves(model) if path not in elsewhere for value in ODD]
    for document in random.sample(made, min(len(made), count(30, 10))):
        execution = stage.orchestrator.begin(make_bot(persist_results=True))
        path = stage.home / "executions" / execution.execution_id / name
        path.write_text((path.read_text() if name == "events.jsonl" else "") + json.dumps(document, default=str) + "\n")
    stage.die()
    second = stage.successor()
    executions = second.orchestrator.recover()
    assert any(execution.execution_id == first.execution_id for execution in executions)
    for execution in executions:
        execution.kill()
        assert execution.wait(20) is not None
    until(lambda: all((folder / "outcome.json").exists() for folder in stage.records()))
    until(lambda: second.leftovers == [])


@pytest.mark.parametrize("huge", [10**400, 10**25], ids=["400 digits", "25 digits"])
@pytest.mark.parametrize("of", ["run.json", "concluded.json"])
def test_a_huge_number_in_a_record_neither_stops_nor_loops_a_recovery(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, of: str, huge: int
) -> None:
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    over = make_stage().orchestrator.execute_bot(make_bot(persist_results=True))
    stage = make_stage(FakeEngine(FOREVER))
    first, other = (stage.orchestrator.begin(make_bot(persist_results=True)) for _ in range(2))
    path = stage.home / "executions" / first.execution_id / of
    if of == "run.json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "started_ns": huge}))
    else:
        document = result_document(over)
        path.write_text(json.dumps({**document, "log": {**document["log"], "segments": huge}}))
    stage.die()
    second = stage.successor()
    damaged, whole = second.orchestrator.recover()
    assert (damaged.execution_id, whole.execution_id) == (first.execution_id, other.execution_id)
    outcome = Outcome.INFRASTRUCTURE_ERROR if of == "run.json" else Outcome.SUCCEEDED
    assert ended(damaged).outcome is outcome
    whole.kill()
    assert ended(whole).outcome is Outcome.STOPPED
    assert second.leftovers == []


def test_a_record_of_which_all_is_damaged_is_ended_too(make_stage: MakeStage, begun: Any) -> None:
    stage, _, folder = begun()
    for name in ("request.json", "run.json", "events.jsonl", "runner"):
        (folder / name).write_text("{")
    second = stage.successor()
    (seen,) = second.orchestrator.leftovers()
    assert ("request.json is damaged" in seen.reason, seen.action[:6]) == (True, "end it")
    (execution,) = second.orchestrator.recover()
    assert ended(execution).outcome is Outcome.INFRASTRUCTURE_ERROR
    assert second.left == []
