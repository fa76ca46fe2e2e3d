"""What a successor leaves alone, and what it makes of engines, secrets and disks that are not as they were."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import BotdockError, EngineUnavailableError
from botdock.executions._lease import Lease, hold
from botdock.model import Executable, Outcome
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

FOREVER = Script(forever=True)


def ended(execution: Any) -> Any:
    result = execution.wait(20)
    assert result is not None, "it ends"
    return result


def test_an_execution_of_another_engine_is_left_alone(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun()
    request = json.loads((folder / "request.json").read_text())
    (folder / "request.json").write_text(json.dumps({**request, "engine": "other"}))
    untouched = state(folder)
    assert stage.successor().orchestrator.recover() == []
    assert state(folder) == untouched
    stage.engine.finish(before.container_id)


@pytest.mark.parametrize("name", ["request.json", "run.json"])
def test_a_record_that_cannot_be_read_now_is_left_alone(
    make_stage: MakeStage, begun: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stage, _, _folder = begun()
    real = os.open

    def busy(path: Any, *arguments: Any, **options: Any) -> int:
        if Path(path).name == name:
            raise OSError(24, "Too many open files")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", busy)
    untouched = len(stage.engine.list({}, timeout=1))
    assert stage.successor().orchestrator.recover() == []
    assert len(stage.engine.list({}, timeout=1)) == untouched
    monkeypatch.setattr(os, "open", real)
    (execution,) = stage.successor().orchestrator.recover()
    execution.kill()


@pytest.mark.parametrize("changes", [{"version": 99, "bounds": None}, {"runtime": "not-installed"}])
def test_a_record_of_a_newer_botdock_or_of_a_runtime_that_is_not_here_is_left_alone(
    make_stage: MakeStage, begun: Any, changes: dict[str, Any]
) -> None:
    stage, before, folder = begun()
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, **changes}))
    untouched = state(folder)
    assert stage.successor().orchestrator.recover() == []
    assert state(folder) == untouched
    stage.engine.finish(before.container_id)


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_older_botdock_started_is_adopted(make_stage: MakeStage, begun: Any, version: int) -> None:
    stage, before, folder = begun(timeout=1000)
    run = json.loads((folder / "run.json").read_text())
    bounds, container = run.pop("bounds"), run.pop("container")
    sources = {} if version == 1 else {"bounds": bounds["sources"]}
    older = {
        "version": version,
        "allowance": {**{name: bounds[name] for name in ("limits", "timeout", "network")}, **sources},
    }
    del run["program"]
    if version > 1:
        older["container"] = container
    (folder / "run.json").write_text(json.dumps({**run, **older}))
    (execution,) = stage.successor().orchestrator.recover()
    stage.engine.finish(before.container_id)
    assert ended(execution).outcome is Outcome.SUCCEEDED
    assert ("bounds" in execution.result.evidence) == (version > 1)


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_living_runner_holds_is_never_touched(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    execution = stage.orchestrator.begin(make_bot())
    assert stage.successor().orchestrator.recover() == []
    assert stage.orchestrator.recover() == []
    assert not execution.done


def test_of_several_that_recover_at_once_one_gets_each(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(FOREVER))
    begun = {stage.orchestrator.begin(make_bot()).execution_id for _ in range(10)}
    stage.die()
    rivals, found = [stage.successor() for _ in range(4)], []
    threads = [threading.Thread(target=lambda one=one: found.extend(one.orchestrator.recover())) for one in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(execution.execution_id for execution in found) == sorted(begun)


def test_an_engine_that_is_away_raises_and_nothing_is_changed(make_stage: MakeStage, begun: Any) -> None:
    stage, _, folder = begun()
    untouched = state(folder)
    second = stage.successor()
    second.engine.fail("list", EngineUnavailableError("refused"), times=1)
    with pytest.raises(EngineUnavailableError):
        second.orchestrator.recover()
    assert state(folder) == untouched
    second.engine.fail("inspect", EngineUnavailableError("refused"), times=1)
    assert second.orchestrator.recover() == []
    assert state(folder) == untouched
    (execution,) = second.orchestrator.recover()
    execution.kill()


def test_secrets_are_masked_by_the_successor_too_and_are_nowhere_on_disk(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun(secrets={"KEY": "canary-value"})
    places = [path for path, content in state(folder).items() if b"canary-value" in content]
    assert {Path(path).parent.name for path in places} == {"context"}
    stage.engine.emit(before.container_id, b"it is canary-value\n")
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    stage.engine.finish(before.container_id)
    result = ended(execution)
    assert (result.output, result.log.masked) == ("tick\nit is ************\n", 1)
    assert not [path for path, content in state(stage.home).items() if b"canary-value" in content]


def test_a_bot_whose_secrets_cannot_be_masked_any_more_is_ended(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun(secrets={"KEY": "canary-value"})
    stage.engine.emit(before.container_id, b"it is canary-value\n")
    (folder / "workspace/context/context.json").write_text("{}")
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    result = ended(execution)
    assert (result.outcome, result.output) == (Outcome.INFRASTRUCTURE_ERROR, "tick\n")
    assert "secrets" in result.error
    assert not [path for path, content in state(stage.home).items() if b"canary-value" in content]
    assert second.left == []


def test_a_log_that_cannot_be_continued_is_a_result(make_stage: MakeStage, begun: Any) -> None:
    stage, _, folder = begun()
    for path in (folder / "logs").iterdir():
        path.unlink()
    (folder / "logs/stdout.0").mkdir()
    second = stage.successor()
    (execution,) = second.orchestrator.recover()
    assert ended(execution).outcome is Outcome.INFRASTRUCTURE_ERROR
    assert stage.leftovers == []


def test_what_was_left_over_the_last_of_the_work_is_tidied_up(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    result = stage.orchestrator.execute_bot(make_bot())
    folder = stage.home / "executions" / result.execution_id
    stage.die()
    dead = Lease(stage.home)
    runner = dead.hold()
    hold(folder, runner)
    draft = folder.with_name(f".01jd9pz7p0k0v6r3h2m4n5q8st.{runner}")
    for name in ("run.json", "concluded.json"):
        (folder / name).write_text("{}")
    draft.mkdir()
    dead.forked()  # its file stays
    second = stage.successor()
    assert second.orchestrator.recover() == []
    second.orchestrator.execute_bot(make_bot())
    assert not draft.exists()
    assert second.left == []


def test_a_closed_runner_recovers_nothing(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.orchestrator.close()
    with pytest.raises(BotdockError, match="closed"):
        stage.orchestrator.recover()
