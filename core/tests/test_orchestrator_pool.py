"""Runs in containers that waited for them: as any other, but sooner; and what a runner leaves of them that dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError, LogError
from botdock.model import ContainerRun, ContainerTemplate, Executable, Limits, Outcome
from botdock.orchestrator import recovery
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.strays import without_waiting
from botdock.pool import Member, _member, _removals
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script, envelope
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

PATIENCE = 20.0


class Programs:
    """What runs in the containers: waits for its FIFO, where there is one, writes the code it finds, and ends."""

    def __init__(self) -> None:
        self.engine = FakeEngine(self, keeps_waiting=True)

    def __call__(self, _template: ContainerTemplate, run: ContainerRun) -> Script:
        if Path(run.context, "ready").exists():
            threading.Thread(target=self._wait, args=(run,), daemon=True).start()
            return Script(forever=True)
        return Script(output=(Script.out(b"cold\n"),), result=envelope(b"1"))

    def _wait(self, run: ContainerRun) -> None:
        with suppress(FileNotFoundError):
            Path(run.context, "ready").read_bytes()
        with self.engine.world.changed:
            containers = self.engine.world.containers.values()
            found = next((one for one in containers if one.run.name == run.name), None)
        if found is None:
            return
        context = Path(run.context, "context.json")
        if not context.exists():
            self.engine.finish(found.container_id, exit_code=125)
            return
        told = json.loads(context.read_text())
        self.engine.emit(found.container_id, f"{told['id']}: {Path(run.code, told['script']).read_text()}".encode())
        found.result = envelope(b"2")
        self.engine.finish(found.container_id)


@pytest.fixture
def warm(make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stage on which two wait."""
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    stage = make_stage(Programs().engine)
    report = stage.orchestrator.warm({"sh": 2}, timeout=PATIENCE)
    assert [(kind.name, kind.waiting, kind.error) for kind in report.kinds] == [("shell bot", 2, "")]
    return stage


def containers(stage: Any) -> list[str]:
    return [info.container_id for info in stage.engine.list({}, timeout=1)]


def warm_names(stage: Any) -> list[str]:
    return [info.name for info in stage.engine.list({}, timeout=1) if info.name.startswith("botdock-pool-")]


def test_a_run_goes_into_one_that_waits_and_is_as_any_other(warm: Any, make_bot: MakeBot) -> None:
    result = warm.orchestrator.execute_bot(make_bot())
    assert (result.outcome, result.exit_code, result.output, result.value) == (
        Outcome.SUCCEEDED,
        0,
        "bot: echo hi\n",
        2,
    )
    assert result.evidence["pool"]["waited"] >= 0
    assert result.log.complete
    until(lambda: result.container_id not in containers(warm))
    until(lambda: not list(warm.home.glob("pool/*/*/execution")))
    until(lambda: warm.left == warm_names(warm))


def test_its_outcome_does_not_wait_for_the_removal_of_its_container_which_is_tried_until_it_works(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_removals, "FIRST_PAUSE", 0.001)
    warm.engine.fail("remove", ContainerError("busy"), times=None)
    result = warm.orchestrator.execute_bot(make_bot())
    assert (result.outcome, "left_behind" in result.evidence) == (Outcome.SUCCEEDED, False)
    assert (warm.home / "executions" / result.execution_id / "outcome.json").exists()
    assert result.container_id in containers(warm)
    (marker,) = warm.home.glob("pool/*/*/execution")
    assert without_waiting(warm.home, warm.engine.list({}, timeout=1)) == []
    assert warm.orchestrator.leftovers() == []
    until(lambda: [call.operation for call in warm.engine.calls].count("remove") > 3)
    warm.engine.faults.clear("remove")
    until(lambda: result.container_id not in containers(warm))
    until(lambda: not marker.parent.exists())


def test_of_one_that_may_live_the_outcome_waits_for_the_removal(warm: Any, make_bot: MakeBot) -> None:
    warm.engine.fail("wait", ContainerError("lost count"), times=None)
    warm.engine.fail("remove", ContainerError("busy"), times=None)
    result = warm.orchestrator.execute_bot(make_bot())
    assert "waited" in result.evidence["pool"]
    assert (result.outcome, result.evidence["left_behind"]) == (Outcome.INFRASTRUCTURE_ERROR, ["container: busy"])
    assert not (warm.home / "executions" / result.execution_id / "outcome.json").exists()
    warm.engine.faults.clear("remove")


def test_closing_leaves_nothing_and_waits_for_the_removal_of_what_was_used(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_removals, "_DELAY", 600.0)
    result = warm.orchestrator.execute_bot(make_bot())
    assert result.container_id in containers(warm)
    warm.orchestrator.close()
    assert warm.leftovers == []
    assert not list(warm.home.glob("pool/*"))


@pytest.mark.parametrize("dies", [True, False])
def test_what_was_used_and_not_removed_goes_with_the_next_runner(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    monkeypatch.setattr(_removals, "_DELAY", 600.0)
    result = warm.orchestrator.execute_bot(make_bot())
    if dies:
        _end_as_the_kernel_does(warm)
    else:
        warm.engine.fail("remove", ContainerError("busy"), times=None)
        warm.orchestrator.close()
        warm.engine.faults.clear("remove")
    assert result.container_id in containers(warm)
    second = warm.successor()
    (marker,) = warm.home.glob("pool/*/*/execution")
    assert str(marker.parent) in [one.name for one in second.orchestrator.leftovers()]
    assert second.orchestrator.recover() == [], "its execution is over"
    assert second.orchestrator.leftovers() == []
    assert containers(warm) == []
    assert not list(warm.home.glob("pool/*"))


def test_its_time_begins_when_it_does_and_not_when_it_began_to_wait(warm: Any, make_bot: MakeBot) -> None:
    execution = warm.orchestrator.begin(make_bot())
    started = execution.result.started_at
    result = execution.wait(PATIENCE)
    assert result.started_at == started
    assert result.duration <= (result.finished_at - started).total_seconds() + 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"limits": Limits(memory=64 * 1024 * 1024)}, "template"),
        ({"is_long_running": False, "entrypoint": "backtest"}, "template"),
        ({"secrets": {"KEY": "s3cret-value"}}, "secrets"),
    ],
)
def test_what_differs_runs_cold_and_says_why(warm: Any, make_bot: MakeBot, fields: Any, reason: str) -> None:
    result = warm.orchestrator.execute_bot(make_bot(**fields))
    assert (result.outcome, result.output) == (Outcome.SUCCEEDED, "cold\n")
    assert result.evidence["pool"] == {"miss": reason}
    assert ("pool.miss", (("reason", reason), ("runtime", "shell"))) in warm.metrics.recorded


def test_those_that_wait_are_not_shown_as_executions(warm: Any) -> None:
    listed = warm.engine.list({}, timeout=1)
    assert len(listed) == 2
    assert without_waiting(warm.home, listed) == []
    assert warm.orchestrator.leftovers() == []


@pytest.mark.parametrize("moment", ["save", "mark", "tell", "release", "collect"])
def test_wherever_its_runner_dies_it_is_adopted_or_was_never_started(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Which of the two is decided by `context.json`: before it is there nothing can have run."""
    preparation, reached, for_ever = warm.orchestrator._preparation, threading.Event(), threading.Event()

    def die(*_: Any, **__: Any) -> None:
        reached.set()
        for_ever.wait()

    holders = {"collect": preparation, "save": Journal, "tell": preparation, "mark": Member, "release": Member}
    monkeypatch.setattr(holders[moment], moment, die)
    threading.Thread(target=warm.orchestrator.begin, args=(make_bot(),), daemon=True).start()
    assert reached.wait(PATIENCE)
    monkeypatch.undo()
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)
    _end_as_the_kernel_does(warm)
    second = warm.successor()
    (execution,) = second.orchestrator.recover()
    result = execution.wait(PATIENCE)
    if moment in {"release", "collect"}:
        assert (result.outcome, result.output, result.value) == (Outcome.SUCCEEDED, "bot: echo hi\n", 2)
    else:
        assert (result.outcome, result.output) == (Outcome.INFRASTRUCTURE_ERROR, "")
        assert "before the bot was started" in result.error
    second.orchestrator.recover()
    until(lambda: second.left == [])
    assert not list(warm.home.glob("pool/*"))


def test_one_whose_log_cannot_be_stored_is_ended_and_leaves_nothing(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LogError("the disk is full")

    monkeypatch.setattr(warm.orchestrator._preparation, "collect", fail)
    with pytest.raises(LogError, match="the disk is full"):
        warm.orchestrator.begin(make_bot())
    until(lambda: warm.left == warm_names(warm))
    (result,) = warm.metrics.results
    assert result.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert not list(warm.home.glob("pool/*/*/execution"))


def test_one_that_cannot_be_let_go_on_leaves_no_stream_open(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed: list[Member] = []

    def fail(member: Member, _execution_id: str) -> None:
        claimed.append(member)
        raise LogError("the disk is full")

    monkeypatch.setattr(Member, "mark", fail)
    with pytest.raises(LogError, match="the disk is full"):
        warm.orchestrator.begin(make_bot())
    assert [member.stream.fileno() for member in claimed] == [None]


@pytest.mark.parametrize("begins", ["recover", "warm", "run"])
def test_what_waited_for_a_runner_that_died_is_removed_at_once(warm: Any, make_bot: MakeBot, begins: str) -> None:
    _end_as_the_kernel_does(warm)
    dead = list(warm.home.glob("pool/*"))
    second = warm.successor()
    assert [one.reason for one in second.orchestrator.leftovers()] == [
        "it waited in the pool of a runner that died, or its execution is finished"
    ] * 2
    if begins == "recover":
        assert second.orchestrator.recover() == []
    elif begins == "warm":
        second.orchestrator.warm({"sh": 1}, timeout=PATIENCE)
    else:
        second.orchestrator.execute_bot(make_bot())
    until(lambda: second.orchestrator.leftovers() == [])
    assert dead
    until(lambda: not any(path.exists() for path in dead))


def _end_as_the_kernel_does(stage: Any) -> None:
    """Let a runner die with all that it holds: the lease, the FIFOs."""
    pool = stage.orchestrator._preparation.pool._pool
    pool._closed = True
    with pool._changed:
        pool._changed.notify_all()
    pool._keeper.join(PATIENCE)
    pool._starters.close(PATIENCE)
    pool._removals._threads.close(PATIENCE)
    stage.die()
    for member in list(_member._members):
        if member.files.root.is_relative_to(stage.home):
            member.release()


def test_a_look_at_the_last_that_waits_keeps_no_run_from_it(
    warm: Any, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm.orchestrator.warm({"sh": 1}, timeout=PATIENCE)
    until(lambda: len(containers(warm)) == 1)
    looks, go_on, look, found = threading.Event(), threading.Event(), Member.problem, []

    def slowly(member: Member, max_age: float) -> str:
        if threading.current_thread().name == "botdock-pool":
            looks.set()
            go_on.wait(PATIENCE)
        return look(member, max_age)

    monkeypatch.setattr(Member, "problem", slowly)
    assert looks.wait(PATIENCE)
    run = threading.Thread(target=lambda: found.append(warm.orchestrator.execute_bot(make_bot())))
    run.start()
    run.join(0.2)  # time to find none, were it so
    go_on.set()
    run.join(60)
    assert "waited" in found[0].evidence["pool"]
