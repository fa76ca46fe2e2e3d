"""An execution from end to end, over fakes: phases, outcomes, and nothing left behind."""

import json
import signal
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from botdock.errors import (
    ContainerError,
    ContainerNotFoundError,
    ExecutableError,
    StorageError,
)
from botdock.model import DEFAULT_LIMITS, ContainerHandle, Executable, Limits, Outcome, Phase, Status
from botdock.orchestrator import attempts
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script, envelope

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

RESULT = envelope(b'{"pnl": 1.5}')


def test_a_run_goes_through_every_phase_and_leaves_only_its_record(make_stage: MakeStage, make_bot: MakeBot) -> None:
    script = Script(output=(Script.out(b"hello\n"), Script.err(b"oops")), result=RESULT)
    stage = make_stage(FakeEngine(script, check_mounts=True))
    result = stage.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.status, result.exit_code) == (Outcome.SUCCEEDED, Status.SUCCESS, 0)
    assert result.value == json.loads(result.result_file_contents) == {"pnl": 1.5}
    assert result.output == "hello\noops"
    assert (result.log.bytes, result.log.lines, result.log.complete) == (10, 2, True)
    assert set(result.phases) == {phase.value for phase in Phase}
    assert stage.leftovers == []
    (record,) = stage.records()
    outcome = json.loads((record / "outcome.json").read_text())
    assert (outcome["outcome"], outcome["log"]["sha256"]) == ("succeeded", result.log.sha256)
    assert stage.metrics.results == [result]
    assert [hook for hook, _ in stage.notices] == ["botdock_before_execution", "botdock_after_execution"]


def test_a_runner_does_not_promise_to_restart_what_it_starts(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    with pytest.raises(ExecutableError, match="restart: a runner starts it once") as caught:
        stage.orchestrator.execute_bot(make_bot(restart="always"))
    assert "botdock start" in str(caught.value.hint)
    assert stage.records() == []
    assert stage.orchestrator.execute_bot(make_bot(restart="no")).succeeded


def test_streams_are_opened_before_the_start(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    stage.orchestrator.execute_bot(make_bot())
    operations = stage.engine.operations
    assert operations.index("create") < operations.index("attach") < operations.index("start")


OUTCOMES = [
    (Script(exit_code=3, result=envelope(exit_code=3)), Outcome.FAILED),
    (Script(exit_code=137), Outcome.SIGNALED),
    (Script(exit_code=134, signal=signal.SIGABRT), Outcome.SIGNALED),
    (Script(exit_code=137, oom_killed=True), Outcome.OOM_KILLED),
    (Script(exit_code=None, error="daemon confused"), Outcome.INFRASTRUCTURE_ERROR),
    (Script(exit_code=1, result=envelope(b'{"status": "error"}', exit_code=1)), Outcome.FAILED),
]


@pytest.mark.parametrize(("script", "outcome"), OUTCOMES)
def test_outcomes_are_told_apart(make_stage: MakeStage, make_bot: MakeBot, script: Script, outcome: Outcome) -> None:
    stage = make_stage(FakeEngine(script))
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.outcome is outcome
    assert result.status is Status.ERROR
    assert result.exit_code == script.exit_code
    assert result.error
    assert stage.leftovers == []


def test_wall_time(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    result = stage.orchestrator.execute_bot(make_bot(timeout=0.05))
    assert (result.outcome, stage.leftovers) == (Outcome.TIMED_OUT, [])


def test_output_limit_keeps_head_and_tail(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(
        FakeEngine(Script(output=(Script.out(b"first 10 b" + b"x" * 80 + b"last ten b"),), forever=True))
    )
    execution = stage.orchestrator.begin(make_bot(limits=Limits(output=10)))
    result = execution.wait(20)
    assert result is not None
    assert (result.outcome, result.output) == (Outcome.OUTPUT_LIMIT, "first 10 blast ten b")
    missing = "[80 bytes of stdout are missing: over the output limit]"
    assert [item.text for item in execution.logs()] == ["first 10 b", missing, "last ten b"]
    assert (result.log.gaps, result.log.gap_bytes) == (1, 80)


def test_a_bot_that_ends_before_it_can_be_killed_wrote_too_much_all_the_same(
    make_stage: MakeStage, make_bot: MakeBot
) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"x" * 11),))))
    results = [stage.orchestrator.execute_bot(make_bot(limits=Limits(output=size))) for size in (10, 11)]
    assert [result.outcome for result in results] == [Outcome.OUTPUT_LIMIT, Outcome.SUCCEEDED]


def test_a_long_running_bot_may_write_more_than_is_kept(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"x" * 11),))))
    bot = make_bot(limits=Limits(output=10), is_long_running=True)
    execution = stage.orchestrator.begin(bot)
    result = execution.wait(10)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("by", ["execution_id", "container_id"])
def test_a_long_running_bot_returns_at_once_and_stops_on_request(
    make_stage: MakeStage, make_bot: MakeBot, by: str
) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"tick\n"),), forever=True, farewell=b"bye\n")))
    result = stage.orchestrator.execute_bot(make_bot(is_long_running=True))
    assert (result.status, result.outcome, result.exit_code) == (Status.RUNNING, None, None)
    execution = stage.orchestrator.find(result.execution_id)
    assert execution is not None
    assert not execution.done
    assert next(iter(execution.logs(follow=True))).text == "tick"
    stage.orchestrator.stop_execution(getattr(execution, by))
    final = execution.wait(10)
    assert final is not None
    assert (final.outcome, final.exit_code, final.output) == (Outcome.STOPPED, 3, "tick\nbye\n")
    assert stage.orchestrator.find(result.execution_id) is None
    assert [line.text for line in execution.logs()] == ["tick", "bye"]
    execution.stop()
    assert execution.result == final


def test_a_bot_that_ignores_sigterm_is_killed_after_the_grace(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True, ignores_term=True)))
    execution = stage.orchestrator.begin(make_bot())
    execution.stop(grace=0.05)
    result = execution.wait(10)
    assert result is not None
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, 137)


def test_a_container_that_is_removed_while_its_end_is_waited_for_has_been_stopped(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_IN_A_MOMENT", 0.1)
    stage = make_stage(FakeEngine(Script(forever=True)))
    execution = stage.orchestrator.begin(make_bot())
    stop = stage.engine.stop

    def late(container: ContainerHandle, *, grace: float, timeout: float) -> None:
        stop(container, grace=grace, timeout=timeout)
        execution.wait(10)
        raise ContainerNotFoundError("no such container", container_id=container.id)

    monkeypatch.setattr(stage.engine, "stop", late)
    execution.stop()
    assert execution.result.outcome is Outcome.STOPPED


def test_closing_stops_what_runs(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    executions = [stage.orchestrator.begin(make_bot()) for _ in range(3)]
    stage.orchestrator.close()
    assert [execution.result.outcome for execution in executions] == [Outcome.STOPPED] * 3
    assert stage.leftovers == []
    assert stage.storage.closed
    assert stage.metrics.closed


def test_what_cannot_be_cleaned_up_is_evidence(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    stage.engine.fail("remove", ContainerError("device busy"))
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.outcome is Outcome.SUCCEEDED
    assert "device busy" in result.evidence["left_behind"][0]


def test_results_and_logs_are_stored_only_when_asked_for(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"line\n"),), result=RESULT)))
    stage.orchestrator.execute_bot(make_bot())
    assert stage.storage.objects == {}
    result = stage.orchestrator.execute_backtest(make_bot(entrypoint="backtest", persist_results=True))
    assert json.loads(stage.storage.objects["bot/analysis.json"]) == {"pnl": 1.5}
    assert stage.storage.objects[f"logs/bot/{result.execution_id}/stdout.0"] == b"line\n"
    assert f"executions/{result.execution_id}/result.json" in stage.storage.objects


def test_a_storage_that_fails_changes_nothing_of_the_outcome(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(result=RESULT)))
    stage.storage.error = StorageError("away")
    result = stage.orchestrator.execute_bot(make_bot(persist_results=True))
    assert result.outcome is Outcome.SUCCEEDED
    assert "away" in result.evidence["not_stored"][0]


def test_secrets_reach_the_context_but_no_record_and_no_label(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    executable = make_bot(secrets={"API_KEY": "canary-value"})
    execution = stage.orchestrator.begin(executable)
    (record,) = stage.records()
    assert b"canary-value" in (record / "workspace/context/context.json").read_bytes()
    (info,) = stage.engine.list({}, timeout=1)
    assert "canary-value" not in repr(info) + repr(executable)
    execution.kill()
    execution.wait(10)
    assert not [path for path in record.rglob("*") if path.is_file() and b"canary-value" in path.read_bytes()]
    assert json.loads((record / "request.json").read_text())["secrets"] == ["API_KEY"]


def test_an_interrupted_caller_leaves_no_bot_running(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))
    execution = stage.orchestrator.begin(make_bot())
    real_wait, calls = execution.wait, []

    def interrupted(timeout: float | None = None) -> object:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real_wait(timeout)

    monkeypatch.setattr(execution, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.orchestrator.finish(execution)
    assert execution.result.outcome is Outcome.STOPPED
    assert stage.leftovers == []


def test_an_interrupt_while_preparing_leaves_nothing(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage.engine, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.orchestrator.execute_bot(make_bot())
    assert (stage.leftovers, stage.records()) == ([], [])


def test_a_backtest_must_be_one(make_stage: MakeStage, make_bot: MakeBot) -> None:
    with pytest.raises(ExecutableError, match="not a backtest"):
        make_stage().orchestrator.execute_backtest(make_bot())


def test_the_runtime_is_recognised_where_it_is_not_named(make_stage: MakeStage, make_bot: MakeBot) -> None:
    assert make_stage().orchestrator.execute_bot(make_bot(runtime=None)).runtime == "shell"


def test_a_manifest_names_script_and_tighter_limits(make_stage: MakeStage, make_bot: MakeBot) -> None:
    manifest = b'runtime = "sh"\n[entrypoints]\nbot = "other.sh"\n[limits]\npids = 9\nmemory = "64TiB"\n'
    stage = make_stage(described={"bot.toml": manifest, "other.sh": b"", "main.sh": b""})
    result = stage.orchestrator.execute_bot(make_bot(runtime=None, file_path="described"))
    assert result.metadata["script"] == "other.sh"
    template = next(call.arguments["template"] for call in stage.engine.calls if call.operation == "create")
    assert (template.limits.pids, template.limits.memory) == (9, DEFAULT_LIMITS.memory)
    bounds = json.loads((stage.records()[0] / "outcome.json").read_text())["evidence"]["bounds"]
    assert bounds["pids"] == {"value": 9, "source": "manifest"}
    assert bounds["memory"] == {"value": DEFAULT_LIMITS.memory, "source": "default", "asked": 64 * 2**40}


def test_a_container_that_this_runner_did_not_start_is_stopped_all_the_same(make_stage: MakeStage) -> None:
    with pytest.raises(ContainerNotFoundError):
        make_stage().orchestrator.stop_execution("unknown")


def test_a_defect_of_ours_is_a_result_and_not_a_hang(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage()
    defects: dict[str, object] = {}
    monkeypatch.setattr("botdock.orchestrator.conclusion.judge", lambda **_: defects["defect"])
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert "KeyError" in result.error
    assert stage.leftovers == []


def test_progress_of_a_pull_is_reported(make_stage: MakeStage, make_bot: MakeBot) -> None:
    seen: list[Any] = []
    stage = make_stage(FakeEngine(images=(), pullable=("shell:1",)))
    stage.orchestrator.execute_bot(make_bot(), seen.append)
    assert {progress.phase for progress in seen} >= {Phase.PULL, Phase.EXTRACT}


def test_results_are_plain_values(make_stage: MakeStage, make_bot: MakeBot) -> None:
    result = make_stage().orchestrator.execute_bot(make_bot(segment=4))
    assert result.metadata["segment"] == 4
    assert attrs.evolve(result).to_json() == json.loads(json.dumps(result.to_json()))
