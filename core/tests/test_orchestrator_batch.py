"""Many executables, so many at a time, with and without asyncio: in order, lazily, and nothing lost or left."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from botdock.errors import ContainerError, UserError
from botdock.model import ContainerRun, ContainerState, ContainerTemplate, Executable, ExecutionResult, MapProgress
from botdock.model.container import LABEL_EXECUTABLE
from botdock.orchestrator.batch import Batch, OnMapProgress
from botdock_testing.fake_engine import Call, FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]
Outcomes = list[tuple[str, str]]

PATIENCE = 60.0
"""Seconds in which anything happens, on any machine."""


def scripted(**scripts: Script) -> FakeEngine:
    """Return an engine on which bots do what is said of their ids, and others end at once."""

    def behaviour(_template: ContainerTemplate, run: ContainerRun) -> Script:
        return scripts.get(run.annotations[LABEL_EXECUTABLE], Script())

    return FakeEngine(behaviour)


def running(stage: Any) -> dict[str, str]:
    """Return the containers that run now, by the id of the bot."""
    infos = [info for info in stage.engine.list({}, timeout=1) if info.state is ContainerState.RUNNING]
    return {info.labels[LABEL_EXECUTABLE]: info.container_id for info in infos}


def batch(stage: Any, bots: Iterable[Executable], concurrency: int = 3, progress: OnMapProgress | None = None) -> Batch:
    return Batch(stage.orchestrator.begin_soon, bots, concurrency, progress)


def synchronously(several: Batch, most: int | None = None) -> Outcomes:
    with closing(several.results()) as results:
        return [told(result) for result in itertools.islice(results, most)]


def asynchronously(several: Batch, most: int | None = None) -> Outcomes:
    async def gather() -> Outcomes:
        found: Outcomes = []
        async with aclosing(several.aresults()) as results:
            async for result in results:
                found.append(told(result))
                if len(found) == most:
                    break
        return found

    return asyncio.run(gather())


def told(result: ExecutionResult) -> tuple[str, str]:
    return result.id, str(result.outcome)


both = pytest.mark.parametrize("gather", [synchronously, asynchronously])


@both
def test_results_are_in_order_and_a_slow_one_keeps_no_other_from_running(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes]
) -> None:
    stage, seen = make_stage(scripted(slow=Script(forever=True), bad=Script(exit_code=3))), list[MapProgress]()

    def progress(now: MapProgress) -> None:
        seen.append(now)
        if now.done == 5:
            until(lambda: "slow" in running(stage), timeout=PATIENCE)
            stage.engine.finish(running(stage)["slow"])

    bots = [make_bot(id=name) for name in ("slow", "a", "b", "bad", "c", "d")]
    found = gather(batch(stage, bots, 2, progress))
    assert found == [
        ("slow", "succeeded"),
        ("a", "succeeded"),
        ("b", "succeeded"),
        ("bad", "failed"),
        ("c", "succeeded"),
        ("d", "succeeded"),
    ]
    assert seen[0] == MapProgress(total=6, running=2, done=0, succeeded=0)
    assert seen[-1] == MapProgress(total=6, running=0, done=6, succeeded=5)
    assert max(now.running for now in seen) == 2


@both
def test_no_more_are_taken_than_may_run(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes]
) -> None:
    stage, taken = make_stage(), list[str]()

    def endless() -> Iterator[Executable]:
        for number in itertools.count():
            taken.append(f"bot-{number}")
            yield make_bot(id=taken[-1])

    def progress(now: MapProgress) -> None:
        assert now.total is None
        assert len(taken) - now.done == now.running == 3
        assert len(running(stage)) <= 3

    found = gather(batch(stage, endless(), 3, progress), 8)
    assert found == [(name, "succeeded") for name in taken[:8]]
    assert stage.leftovers == []


@both
def test_what_cannot_be_started_is_a_result_among_the_others(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes]
) -> None:
    stage = make_stage(scripted(broken=Script(start_error="no such program")))
    bots = [make_bot(id="a"), make_bot(id="no-code", file_path="elsewhere"), make_bot(id="broken"), make_bot(id="b")]
    hindered = "infrastructure_error"
    found = gather(batch(stage, bots, 2))
    assert found == [("a", "succeeded"), ("no-code", hindered), ("broken", hindered), ("b", "succeeded")]
    assert stage.leftovers == []


def test_its_result_says_why_and_whose_mistake_it_was(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    stage.engine.fail("start", ContainerError("no room", hint="Make room."), times=1)
    first, second = batch(stage, [make_bot(), make_bot(runtime="shall")], 1).results()
    assert (first.message, first.error, first.status) == ("no room", "no room", "error")
    assert first.evidence == {"phase": "start", "hint": "Make room."}
    assert [path.name for path in stage.records()] == [first.execution_id]
    assert "shall" in second.error
    assert second.evidence["refused"] is True


@both
def test_what_runs_when_it_ends_early_is_stopped(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes]
) -> None:
    endless = Script(forever=True)
    stage = make_stage(scripted(b=endless, c=endless, d=endless))
    assert gather(batch(stage, [make_bot(id=name) for name in "abcde"]), 1) == [("a", "succeeded")]
    assert stage.leftovers == []
    assert {result.outcome for result in stage.metrics.results if result.id != "a"} <= {"stopped"}


@both
@pytest.mark.parametrize("where", ["progress", "executables"])
def test_what_a_caller_raises_ends_it_and_what_runs(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes], where: str
) -> None:
    stage = make_stage(FakeEngine(Script(forever=True)))

    def bots() -> Iterator[Executable]:
        yield make_bot()
        if where == "executables":
            raise ZeroDivisionError
        yield make_bot()

    with pytest.raises(ZeroDivisionError):
        gather(batch(stage, bots(), 2, lambda _: 1 / 0))
    assert stage.leftovers == []


@both
def test_a_runner_that_is_closed_ends_it_behind_what_it_has_stopped(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes]
) -> None:
    stage, taken = make_stage(FakeEngine(Script(forever=True))), itertools.count()

    def have_begun() -> bool:  # a start that is not over when the runner is closed is given up
        return sum(stage.orchestrator.find(container) is not None for container in running(stage).values()) == 3

    def progress(now: MapProgress) -> None:
        if now.done == 0:
            until(have_begun, timeout=PATIENCE)
            stage.orchestrator.close()

    with pytest.raises(UserError, match="this runner is closed"):
        gather(batch(stage, (make_bot(id=f"bot-{number}") for number in taken), 3, progress))
    assert next(taken) <= 6
    assert [str(result.outcome) for result in stage.metrics.results] == ["stopped"] * 3
    assert stage.leftovers == []


def test_cancelled_at_any_time_it_leaves_nothing_when_it_returns(make_stage: MakeStage, make_bot: MakeBot) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        if call.operation == "create" and call.arguments["run"].annotations[LABEL_EXECUTABLE] == "c":
            until(lambda: len(running(stage)) == 2, timeout=PATIENCE)
            reached.set()
            go_on.wait(PATIENCE)

    stage = make_stage(FakeEngine(Script(forever=True), before=hold))

    async def consume() -> None:
        async for _ in batch(stage, [make_bot(id=name) for name in "abc"], 3).aresults():
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        assert await asyncio.to_thread(reached.wait, PATIENCE)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.to_thread(until, lambda: not running(stage), timeout=PATIENCE)
        assert not task.done(), "one is still being started"
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stage.leftovers == []

    asyncio.run(main())
    assert [str(result.outcome) for result in stage.metrics.results] == ["stopped"] * 2


def test_what_runs_is_stopped_also_where_the_event_loop_is_gone(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage, loop = make_stage(FakeEngine(Script(forever=True))), asyncio.new_event_loop()

    async def consume() -> None:
        async for _ in batch(stage, [make_bot(id=name) for name in "ab"]).aresults():
            pass

    consuming = consume()
    task = loop.create_task(consuming)
    loop.run_until_complete(asyncio.to_thread(until, lambda: len(running(stage)) == 2, timeout=PATIENCE))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # what asyncio.gather sets of tasks it drops
    consuming.close()
    until(lambda: stage.leftovers == [], timeout=PATIENCE)
    assert not task.done()


def test_there_must_be_room_for_one(make_stage: MakeStage, make_bot: MakeBot) -> None:
    with pytest.raises(UserError, match="concurrency must be 1 or more, not 0"):
        batch(make_stage(), [make_bot()], 0)


@both
@pytest.mark.parametrize("wrong", [None, "bot.zip", {"id": "bot", "file_path": "bot.zip"}])
def test_what_is_not_an_executable_does_not_end_it_unseen(
    make_stage: MakeStage, make_bot: MakeBot, gather: Callable[..., Outcomes], wrong: Any
) -> None:
    bots: Any = [wrong, make_bot()]
    with pytest.raises(TypeError, match=f"an Executable is run, not a {type(wrong).__name__}: write Executable"):
        gather(batch(make_stage(engine=scripted()), bots))
