"""Runs inside asyncio, as processes: by completion, so that no thread waits, and owned through cancellation."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock import BotdockError, Config, DockerRunner, Executable, Execution, ExecutionResult, Outcome
from testbed.waiting import wait_until

MakeBot = Callable[..., Executable]
AT_ONCE = 100
CANCELLED = 24
ENDLESS = "echo up; exec sleep 600\n"
TICKS = "for n in 1 2 3; do echo line $n; sleep 0.1; done\n"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[DockerRunner]:
    with DockerRunner(Config(engine="process", home=str(tmp_path / "home"))) as runner:
        yield runner
        assert left_of(runner) == []


def left_of(runner: DockerRunner) -> list[str]:
    containers = [container.name for container in runner.list_managed_containers()]
    return containers + [str(path) for path in runner.config.home_dir.glob("executions/*/workspace")]


def with_a_busy_executor(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` in a loop whose default executor has one thread, and that one is taken."""
    release = threading.Event()

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        taken = loop.run_in_executor(None, release.wait)
        try:
            return await work()
        finally:
            release.set()
            await taken

    return asyncio.run(main())


def test_a_hundred_at_once_need_no_thread_of_the_loop(runner: DockerRunner, make_bot: MakeBot) -> None:
    bot = make_bot("true\n", runtime="bash")

    async def all_of_them() -> list[ExecutionResult]:
        return await asyncio.gather(*(runner.arun(bot) for _ in range(AT_ONCE)))

    results = with_a_busy_executor(all_of_them)
    assert [result.outcome for result in results] == [Outcome.SUCCEEDED] * AT_ONCE


def test_what_is_cancelled_at_any_moment_leaves_nothing_when_it_returns(
    runner: DockerRunner, make_bot: MakeBot
) -> None:
    bot = make_bot(ENDLESS, runtime="bash")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def one(delay: float, again: float | None) -> bool:
        task = asyncio.create_task(runner.arun(bot))
        await asyncio.sleep(delay)
        task.cancel()
        if again is not None:
            await asyncio.sleep(again)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    async def all_of_them() -> list[bool]:
        moments = [(chance.uniform(0, 0.8), chance.choice([None, chance.uniform(0, 0.1)])) for _ in range(CANCELLED)]
        return await asyncio.gather(*(one(*moment) for moment in moments))

    assert with_a_busy_executor(all_of_them) == [True] * CANCELLED
    assert left_of(runner) == [], "the awaiter has returned: nothing runs any more"
    assert {record.outcome for record in runner.executions.list()} <= {Outcome.STOPPED}


def test_a_start_that_fails_raises_where_it_is_awaited(runner: DockerRunner) -> None:
    with pytest.raises(BotdockError, match="no-such-folder"):
        asyncio.run(runner.arun(Executable(id="bot", runtime="bash", file_path="/no-such-folder")))


def test_log_and_end_are_waited_for_without_a_thread(runner: DockerRunner, make_bot: MakeBot) -> None:
    bot = make_bot(TICKS, runtime="bash")

    async def followed() -> list[str]:
        execution = await runner.astart(bot)
        lines = [item.text async for item in execution.alogs(follow=True)]
        assert [item.text async for item in execution.alogs(tail=1)] == lines[-1:]
        positions = [item.position async for item in execution.alogs()]
        assert [item.text async for item in execution.alogs(after=positions[0])] == lines[1:]
        waiting = asyncio.create_task(execution.aresult())
        await asyncio.sleep(0)
        waiting.cancel()
        assert (await execution.aresult()).outcome is Outcome.SUCCEEDED
        return lines

    assert with_a_busy_executor(followed) == ["line 1", "line 2", "line 3"]


def test_a_callback_is_called_once_at_the_end_or_at_once(runner: DockerRunner, make_bot: MakeBot) -> None:
    called: list[Execution] = []
    execution = runner.start(make_bot(TICKS, runtime="bash"))
    execution.add_done_callback(lambda _: 1 / 0)
    execution.add_done_callback(called.append)
    assert called == []
    execution.wait()
    assert wait_until(lambda: called == [execution], timeout=10)
    execution.add_done_callback(called.append)
    assert called == [execution, execution]
    assert called[0].result.outcome is Outcome.SUCCEEDED


def test_all_readers_show_the_same_gaps_included(runner: DockerRunner, make_bot: MakeBot) -> None:
    execution = runner.start(make_bot("seq 100000\n", runtime="bash", limits={"output": "64KiB"}))
    execution.wait()
    items = list(execution.logs())
    assert items == list(runner.executions.logs(execution.execution_id))
    shown = runner.get_container_logs(execution.execution_id, tail=100_000)
    assert shown == "\n".join(item.text for item in items)


def test_map_yields_results_in_order_and_stops_what_is_not_wanted(runner: DockerRunner, make_bot: MakeBot) -> None:
    bots = [make_bot(f"exit {number}\n", runtime="bash") for number in range(6)]
    assert [result.exit_code for result in runner.map(bots, concurrency=3)] == list(range(6))
    results = runner.map([bots[0], *(make_bot(ENDLESS, runtime="bash") for _ in range(3))], concurrency=3)
    assert next(results).exit_code == 0
    results.close()
    assert left_of(runner) == []
