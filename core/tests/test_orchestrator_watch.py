"""The ends of all executions, heard by one thread and not looked for."""

from __future__ import annotations

import gc
import queue
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from botdock.errors import EngineUnavailableError
from botdock.executions import Executions
from botdock.model import ContainerStatus, EngineEvents, Executable, Outcome
from botdock.orchestrator import execution as module
from botdock.orchestrator import reading
from botdock.orchestrator import running as running_module
from botdock.orchestrator.attempts import NOT_ENDED
from botdock.orchestrator.reading import Work
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script
from testbed.waiting import until, wait_until

LONG = 600.0


class Told(EngineEvents):
    """What a test puts in; an error breaks the connection."""

    def __init__(self) -> None:
        self.news: queue.Queue[str | Exception] = queue.Queue()
        self.reads = 0

    def read(self, timeout: float) -> Sequence[str]:
        self.reads += 1
        try:
            news = self.news.get(timeout=timeout)
        except queue.Empty:
            return []
        if isinstance(news, Exception):
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
    monkeypatch.setattr(running_module, "LIST_EVERY", LONG)
    monkeypatch.setattr(running_module, "RECONNECT_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(module, "FIRST_LOOK", 0.0)
    engine = Telling(Script(forever=True))
    engine.connections = []
    return engine


def looks(engine: FakeEngine) -> int:
    return engine.operations.count("wait")


def until_it_is_only_heard(engine: Telling, work: Work) -> None:
    """Wait for the looks of the begin and of the connection; none is due then."""
    until(lambda: bool(engine.connections) and engine.connections[0].reads == 1)
    until(lambda: not work.looks._ready and work.looks._idle == len(work.looks._threads))


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


@pytest.mark.parametrize("error", [EngineUnavailableError("cut"), ValueError("a defect of a third party's engine")])
def test_what_ends_while_nothing_is_heard_is_seen(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable], error: Exception
) -> None:
    orchestrator = make_stage(telling).orchestrator
    running = orchestrator.begin(make_bot())
    until_it_is_only_heard(telling, orchestrator._work)
    telling.finish(running.container_id)
    telling.connections[-1].news.put(error)
    assert running.wait(20).outcome is Outcome.SUCCEEDED
    assert wait_until(lambda: len(telling.connections) == 2, timeout=10)


def test_an_end_that_no_event_tells_is_found_by_a_listing(
    telling: Telling,
    make_stage: Callable[..., Any],
    make_bot: Callable[..., Executable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orchestrator = make_stage(telling).orchestrator
    ends, goes_on = orchestrator.begin(make_bot()), orchestrator.begin(make_bot(id="other"))
    until_it_is_only_heard(telling, orchestrator._work)
    telling.finish(ends.container_id)
    monkeypatch.setattr(running_module, "LIST_EVERY", 0.01)
    telling.connections[0].news.put("another")
    assert ends.wait(20).outcome is Outcome.SUCCEEDED
    looked, listed = looks(telling), telling.operations.count("list")
    until(lambda: telling.operations.count("list") > listed + 3)
    assert (looks(telling), goes_on.done) == (looked, False), "one that is listed is not looked at"


def test_where_each_end_is_told_for_certain_nothing_is_listed(
    telling: Telling,
    make_stage: Callable[..., Any],
    make_bot: Callable[..., Executable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_module, "LIST_EVERY", 0.01)
    monkeypatch.setattr(Told, "is_certain", True)
    running = make_stage(telling).orchestrator.begin(make_bot())
    until(lambda: bool(telling.connections) and telling.connections[0].reads > 3)
    assert "list" not in telling.operations
    running.kill()


def test_a_stop_that_the_engine_does_not_answer_is_seen_to_have_failed_where_ends_are_only_heard(
    telling: Telling,
    make_stage: Callable[..., Any],
    make_bot: Callable[..., Executable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise EngineUnavailableError("away")

    stage = make_stage(telling)
    running = stage.orchestrator.begin(make_bot())
    until_it_is_only_heard(telling, stage.orchestrator._work)
    monkeypatch.setattr(telling, "stop", away)
    with pytest.raises(EngineUnavailableError):
        running.stop(grace=0.0)
    (folder,) = stage.records()
    until(lambda: NOT_ENDED in (folder / "events.jsonl").read_text(), timeout=60)
    telling.finish(running.container_id)
    telling.connections[0].news.put(running.container_id)
    assert running.wait(20).outcome is Outcome.SUCCEEDED


def test_the_wall_time_ends_what_is_only_heard(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    running = make_stage(telling).orchestrator.begin(make_bot(timeout=0.1))
    assert running.wait(20).outcome is Outcome.TIMED_OUT


def test_what_has_ended_is_not_held_until_its_wall_time_would_be_over(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    orchestrator = make_stage(telling).orchestrator
    running = orchestrator.begin(make_bot(timeout=LONG))
    until_it_is_only_heard(telling, orchestrator._work)
    assert orchestrator._work.looks._later  # the end of its wall time
    telling.finish(running.container_id)
    telling.connections[0].news.put(running.container_id)
    assert running.wait(20).outcome is Outcome.SUCCEEDED
    ended = weakref.ref(running)
    del running
    until(lambda: gc.collect() >= 0 and ended() is None)


def test_who_follows_a_log_is_woken_by_what_comes_and_does_not_look_for_it(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(_seconds: float) -> None:
        raise AssertionError("it looks from time to time")

    stage = make_stage(FakeEngine(Script(forever=True)))
    execution = stage.orchestrator.begin(make_bot())
    monkeypatch.setattr(reading, "time", SimpleNamespace(sleep=sleep))
    lines = execution.logs(follow=True)
    for text in ("one", "two"):
        stage.engine.emit(execution.container_id, f"{text}\n".encode())
        assert next(lines).text == text
    execution.stop()


def test_why_the_engine_has_not_started_it_yet_is_a_step_and_shown_until_it_has(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHY_EVERY", 0.01)
    stage, begun, shown = make_stage(FakeEngine()), threading.Event(), threading.Event()
    start, inspect = stage.engine.start, stage.engine.inspect

    def slow(*arguments: Any, **options: Any) -> None:
        begun.set()
        assert shown.wait(60)
        start(*arguments, **options)

    def waits(*arguments: Any, **options: Any) -> ContainerStatus:
        status: ContainerStatus = inspect(*arguments, **options)
        return attrs.evolve(status, error="no node has room for s3cret")

    monkeypatch.setattr(stage.engine, "start", slow)
    monkeypatch.setattr(stage.engine, "inspect", waits)
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(stage.orchestrator.begin, make_bot(secrets={"TOKEN": "s3cret"}))
        assert begun.wait(60)
        (folder,) = stage.records()
        try:
            until(lambda: "no node has room for **" in Executions(stage.home).get(folder.name).waits_for, timeout=60)
        finally:
            shown.set()
        assert starting.result(60).wait(60).outcome is Outcome.SUCCEEDED
    record = Executions(stage.home).get(folder.name)
    assert record.waits_for == ""
