"""Waiting in asyncio for what other threads do: each wait is told, and one that was cancelled leaves nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

from botdock.model import Executable
from botdock.orchestrator.reading import until_done
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until

PATIENCE = 60.0
CANCELLED = 500
FEW = 50


class Counted(Future[None]):
    """A future that counts its callbacks."""

    callbacks = 0

    def add_done_callback(self, fn: Callable[[Future[None]], object]) -> None:
        self.callbacks += 1
        super().add_done_callback(fn)


def futures() -> int:
    gc.collect()
    return sum(isinstance(one, Future) for one in gc.get_objects())


def test_what_is_waited_for_again_and_again_collects_no_waits() -> None:
    awaited = Counted()

    async def poll() -> None:
        for _ in range(CANCELLED):
            task = asyncio.create_task(until_done(awaited))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    before = futures()
    asyncio.run(poll())
    assert awaited.callbacks == 1
    assert futures() - before < CANCELLED // 2, "most waits are still there"


def test_every_wait_is_told_in_each_loop_and_behind_the_end() -> None:
    awaited: Future[Any] = Future()
    waiting: Queue[None] = Queue()

    async def wait() -> None:
        waits = [asyncio.create_task(until_done(awaited)) for _ in range(FEW)]
        await asyncio.sleep(0)
        waits.pop().cancel()
        waiting.put(None)
        await asyncio.wait_for(asyncio.gather(*waits), PATIENCE)

    with ThreadPoolExecutor(3) as threads:
        loops = [threads.submit(asyncio.run, wait()) for _ in range(2)]
        for _ in loops:
            waiting.get(timeout=PATIENCE)
        awaited.set_result(1)
        for loop in [*loops, threads.submit(asyncio.run, wait())]:
            loop.result(2 * PATIENCE)


def test_a_log_whose_follower_was_cancelled_is_closed_though_the_cancellation_is_kept(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    """Its traceback holds the reading; frameworks keep it in cycles until the garbage is collected."""
    stage = make_stage(FakeEngine(Script(output=(Script.out(b"up\n"),), forever=True)))
    execution, kept = stage.orchestrator.begin(make_bot()), list[BaseException]()

    async def follow(came: asyncio.Event) -> None:
        try:
            async for _ in execution.alogs(follow=True):
                came.set()
        except asyncio.CancelledError as error:
            kept.append(error)
            raise

    async def come_and_go() -> None:
        for _ in range(FEW):
            task = asyncio.create_task(follow(came := asyncio.Event()))
            await asyncio.wait_for(came.wait(), PATIENCE)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    before = opened()
    asyncio.run(come_and_go())
    assert len(kept) == FEW
    until(lambda: opened() <= before, timeout=PATIENCE)
    execution.stop()


def opened() -> int:
    """Return how many files of logs are open in this process."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except OSError:  # it was closed meanwhile
            continue
    return sum("/logs/" in name for name in names)
