"""Waiting in asyncio for what other threads do: each wait is told, and one that was cancelled leaves nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import Any

from botdock.orchestrator.reading import until_done

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
