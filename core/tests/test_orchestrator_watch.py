"""Few threads for many executions: ends that are heard, and pools that give no thread more than they have to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from botdock.errors import EngineUnavailableError
from botdock.model import EngineEvents, Executable, Outcome
from botdock.orchestrator import execution, threads
from botdock.orchestrator.threads import Pool, Work
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until, wait_until

LONG = 600.0


class Told(EngineEvents):
    """What a test puts in; an error breaks the connection."""

    def __init__(self) -> None:
        self.news: queue.Queue[str | EngineUnavailableError] = queue.Queue()
        self.reads = 0

    def read(self, timeout: float) -> Sequence[str]:
        self.reads += 1
        news = self.news.get(timeout=timeout)
        if isinstance(news, EngineUnavailableError):
            raise news
        return [news] if news else []

    def close(self) -> None:
        self.news.put("")


class Telling(FakeEngine):
    """A fake that has events, one connection after the other."""

    connections: list[Told]

    def events(self, labels: Mapping[str, str], *, timeout: float) -> EngineEvents:
        assert labels == {"io.botdock.owner": "me"}
        self.connections.append(Told())
        return self.connections[-1]


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Telling:
    """Its containers are looked at only when something is heard."""
    monkeypatch.setattr(execution, "HEARING_PAUSE", LONG)
    monkeypatch.setattr(threads, "RECONNECT_PAUSES", (0.01, 0.01))
    engine = Telling(Script(forever=True))
    engine.connections = []
    return engine


def looks(engine: FakeEngine) -> int:
    return engine.operations.count("wait")


def until_it_is_only_heard(engine: Telling, work: Work) -> None:
    """Wait for the looks of the begin and of the connection; the next one is due in `LONG` seconds."""
    until(lambda: bool(engine.connections) and engine.connections[0].reads == 1)
    until(lambda: not work.looks._jobs and work.looks._idle == work.looks._threads)


def test_an_end_is_heard_and_not_looked_for(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    orchestrator = make_stage(telling).orchestrator
    running = orchestrator.begin(make_bot())
    until_it_is_only_heard(telling, orchestrator._work)
    looked, (told,) = looks(telling), telling.connections
    telling.finish(running.container_id)
    told.news.put("another")
    until(lambda: told.reads == 2)
    assert (looks(telling), running.done) == (looked, False)
    told.news.put(running.container_id)
    assert running.wait(20).outcome is Outcome.SUCCEEDED


def test_what_ends_while_nothing_is_heard_is_seen(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    orchestrator = make_stage(telling).orchestrator
    running = orchestrator.begin(make_bot())
    until_it_is_only_heard(telling, orchestrator._work)
    telling.finish(running.container_id)
    telling.connections[-1].news.put(EngineUnavailableError("cut"))
    assert running.wait(20).outcome is Outcome.SUCCEEDED
    assert wait_until(lambda: len(telling.connections) == 2, timeout=10)


def test_the_wall_time_ends_what_is_only_heard(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    running = make_stage(telling).orchestrator.begin(make_bot(timeout=0.1))
    assert running.wait(20).outcome is Outcome.TIMED_OUT


def test_a_pool_has_no_more_threads_than_it_may_and_none_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE", 0.05)
    pool, release, most = Pool("test-pool", 3), threading.Event(), 0

    def ours() -> int:
        return sum(thread.name.startswith("test-pool") for thread in threading.enumerate())

    futures = [pool.call(lambda: release.wait(20)) for _ in range(9)]
    most = ours()
    release.set()
    assert [future.result(20) for future in futures] == [True] * 9
    assert most == 3
    assert wait_until(lambda: ours() == 0, timeout=10)
    assert pool.call(lambda: 1).result(20) == 1


def test_a_job_that_waits_for_another_of_its_pool_does_not_wait_for_ever() -> None:
    pool = Pool("test-pool", 1)

    def outer() -> int:
        with pool.blocked():
            return pool.call(lambda: 2).result(20)

    assert pool.call(outer).result(20) == 2


def test_what_fails_ends_no_thread_and_is_raised_where_it_is_asked_for() -> None:
    pool = Pool("test-pool", 1)
    pool.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pool.call(lambda: 1 / 0).result(20)


def test_what_is_due_first_comes_first_and_nothing_after_the_end() -> None:
    work, came = Work(), []
    work.after(LONG, work.looks, lambda: came.append("late"))
    work.after(0.05, work.looks, lambda: came.append("second"))
    work.after(0.0, work.looks, lambda: came.append("first"))
    until(lambda: came == ["first", "second"])
    work.close()
    assert wait_until(lambda: not work._clock, timeout=10)
