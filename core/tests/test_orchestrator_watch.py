"""The ends of all executions, heard by one thread and not looked for."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.errors import EngineUnavailableError
from botdock.model import EngineEvents, Executable, Outcome
from botdock.orchestrator import execution, reading
from botdock.orchestrator import running as running_module
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
        news = self.news.get(timeout=timeout)
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
    monkeypatch.setattr(execution, "HEARING_PAUSE", LONG)
    monkeypatch.setattr(running_module, "RECONNECT_PAUSES", (0.01, 0.01))
    engine = Telling(Script(forever=True))
    engine.connections = []
    return engine


def looks(engine: FakeEngine) -> int:
    return engine.operations.count("wait")


def until_it_is_only_heard(engine: Telling, work: Work) -> None:
    """Wait for the looks of the begin and of the connection; the next one is due in `LONG` seconds."""
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


def test_the_wall_time_ends_what_is_only_heard(
    telling: Telling, make_stage: Callable[..., Any], make_bot: Callable[..., Executable]
) -> None:
    running = make_stage(telling).orchestrator.begin(make_bot(timeout=0.1))
    assert running.wait(20).outcome is Outcome.TIMED_OUT


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
