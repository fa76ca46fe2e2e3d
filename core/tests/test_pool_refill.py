"""Members are started several at once, but alone as long as it is not known whether they can be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.config import PoolConfig
from botdock.errors import ContainerError
from botdock.executions._lease import Lease
from botdock.model import DEFAULT_LIMITS, ContainerRun, ContainerTemplate
from botdock.pool import Kind, Pool, PoolReport, _kind
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.fake_services import FakeContainers, FakeMetrics
from botdock_testing.script import Script

PATIENCE = 60.0
TEMPLATE = ContainerTemplate(
    image="shell:1",
    command=("/bin/sh", "/botdock/program/entrypoint.sh"),
    program="/nowhere",
    program_digest="0" * 64,
    program_target="/botdock/program",
    code_target="/bot",
    context_target="/botdock/context",
    result_target="/botdock/result",
    limits=DEFAULT_LIMITS,
)


def _program(_template: ContainerTemplate, run: ContainerRun) -> Script:
    def wait() -> None:
        with suppress(FileNotFoundError):
            Path(run.context, "ready").read_bytes()

    threading.Thread(target=wait, daemon=True).start()
    return Script(forever=True)


class Counting(FakeEngine):
    """Knows how many were being started at most; lets each start, from the second on, wait for another one."""

    def __init__(self) -> None:
        super().__init__(_program, keeps_waiting=True)
        self.together = threading.Barrier(2)
        self.first, self.now, self.most = True, 0, 0

    def start(self, *arguments: Any, **options: Any) -> None:
        with self.world.changed:
            first, self.first = self.first, False
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if not first:
                with suppress(threading.BrokenBarrierError):
                    self.together.wait(PATIENCE)
            super().start(*arguments, **options)
        finally:
            with self.world.changed:
                self.now -= 1


@contextmanager
def filled(engine: Counting, home: Path, count: int) -> Iterator[PoolReport]:
    lease = Lease(home)
    pool = Pool(
        FakeContainers(engine),
        PoolConfig(rate=1000),
        home=home,
        owner="me",
        runner=lease.hold(),
        record=FakeMetrics().record,
    )
    pool.keep([Kind(name="shell bot", count=count, make=lambda: TEMPLATE)])
    yield pool.wait(PATIENCE)
    pool.close(PATIENCE)
    lease.give_up()


def test_several_are_started_at_once(tmp_path: Path) -> None:
    engine = Counting()
    with filled(engine, tmp_path, 5) as report:
        assert report.kinds[0].waiting == 5
        assert not engine.together.broken, "a start that waited for another one waited for nothing"
    assert 2 <= engine.most <= 4


def test_after_a_failure_they_are_tried_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kind, "FIRST_PAUSE", 0.001)
    engine = Counting()
    engine.together.abort()
    engine.fail("create", ContainerError("no room"), times=None)
    with filled(engine, tmp_path, 5) as report:
        assert (report.kinds[0].given_up, report.kinds[0].error) == (True, "no room")
    tried = sum(call.operation == "create" for call in engine.calls)
    assert _kind.MOST_FAILURES <= tried < _kind.MOST_FAILURES + 4, "those begun together count once"
