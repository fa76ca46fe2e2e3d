"""What tests share: an orchestrator whose services are all faked, so that each test says only what differs; queues."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import _locks
from botdock.config import Config, ContainersConfig, LoggingConfig, RuntimeConfig
from botdock.model import DEFAULT_LIMITS, Executable, Runtime
from botdock.orchestrator import BotOrchestrator, Execution, Services, Setting, recovery
from botdock.services.outbox.queue import MessageQueue
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.fake_logs import FakeLogs
from botdock_testing.fake_services import FakeCode, FakeContainers, FakeEntrypoints, FakeMetrics, FakeStorage
from botdock_testing.script import Script, envelope
from testbed import every_line

SHELL = Runtime(
    name="shell",
    aliases=("sh",),
    image="shell:1",
    interpreters=("sh",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh",), "backtest": ("backtest.sh",)},
    files=lambda: {"entrypoint.sh": b"#!/bin/sh\n"},
)
TREE = {"main.sh": b"echo hi\n", "backtest.sh": b"echo hi\n"}


TICKS = Script(
    output=(Script.out(b"tick\n"),),
    forever=True,
    farewell=b"bye\n",
    result=envelope(b'{"pnl": 1.5}'),
)
KEPT = {"request.json", "events.jsonl", "result.json", "outcome.json", "logs"}
"""What the folder of an execution holds that is over."""


@attrs.define(kw_only=True)
class Stage:
    """An orchestrator over fakes, and the fakes."""

    engine: FakeEngine
    storage: FakeStorage
    metrics: FakeMetrics
    orchestrator: BotOrchestrator
    home: Path
    logs: FakeLogs
    notices: list[tuple[str, dict[str, Any]]]
    make: Callable[..., Stage]
    dead: bool = False

    def successor(self) -> Stage:
        """Return another runner over the same containers, state folder and storage."""
        return self.make(self.engine.successor(), storage=self.storage)

    def die(self) -> None:
        """Do nothing more, as a runner that was killed: what it was at stays as it is, and its lease has ended."""
        self.dead = True
        orchestrator, for_ever = self.orchestrator, threading.Event()
        for name in ("conclude", "failed", "aborted", "resume"):
            setattr(orchestrator._conclusion, name, lambda *_, **__: for_ever.wait())
        for execution_id in list(self.logs._logs):
            self.logs.release(execution_id)
        orchestrator._lease.forked()  # what the kernel does: it closes the descriptor, and leaves the file

    @property
    def leftovers(self) -> list[str]:
        """What an execution may not leave: containers and workspaces."""
        containers = [info.name for info in self.engine.list({}, timeout=1)]
        return containers + [str(path) for path in self.home.glob("executions/*/workspace")]

    @property
    def left(self) -> list[str]:
        """What executions that are over may not leave: the same, what only a successor needs, files of dead runners."""
        files = [path for folder in self.records() for path in folder.iterdir() if path.name not in KEPT]
        runners = sorted(self.home.glob("runners/*"))
        dead = [path for path in runners if path.stem != runners[-1].stem]  # the newest is ours
        return [*self.leftovers, *map(str, files), *map(str, dead)]

    def records(self) -> list[Path]:
        return sorted(self.home.glob("executions/*"))


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(
        engine: FakeEngine | None = None,
        *,
        config: Config | None = None,
        storage: FakeStorage | None = None,
        **trees: dict[str, bytes],
    ) -> Stage:
        settings = config or Config(
            runtime=RuntimeConfig(timeout=30, grace=1),
            containers=ContainersConfig(call_timeout=10, reconnect_timeout=0.1),
            logging=LoggingConfig(drain_timeout=1),
        )
        fake = engine or FakeEngine()
        storage, metrics, logs = storage or FakeStorage(), FakeMetrics(), FakeLogs()
        services = Services(
            containers=FakeContainers(fake),
            code=FakeCode({"code": TREE, **trees}),
            storage=storage,
            entrypoints=FakeEntrypoints([SHELL]),
            logs=logs,
            metrics=metrics,
        )
        setting = Setting(config=settings, engine="fake", owner="me", limits=DEFAULT_LIMITS)
        notices: list[tuple[str, dict[str, Any]]] = []
        orchestrator = BotOrchestrator(
            services, setting, home=tmp_path, notify=lambda hook, **arguments: notices.append((hook, arguments))
        )
        stage = Stage(
            engine=fake,
            storage=storage,
            metrics=metrics,
            orchestrator=orchestrator,
            home=tmp_path,
            logs=logs,
            notices=notices,
            make=make,
        )
        made.append(stage)
        return stage

    yield make
    for stage in made:
        if not stage.dead:
            stage.orchestrator.close()


def bot(**fields: Any) -> Executable:
    return Executable(**({"id": "bot", "runtime": "shell", "file_path": "code"} | fields))


@pytest.fixture
def make_bot() -> Callable[..., Executable]:
    return bot


@pytest.fixture
def begun(
    make_stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Stage, Execution, Path]]:
    """Return a function that begins an execution whose runner dies as soon as the bot has written a line."""
    monkeypatch.setattr(recovery, "ENGINE_PATIENCE", 0.0)  # no container of the fake appears late

    def begin(script: Script = TICKS, **fields: Any) -> tuple[Stage, Execution, Path]:
        stage = make_stage(FakeEngine(script, check_mounts=True))
        execution = stage.orchestrator.begin(bot(**fields))
        assert next(iter(execution.logs(follow=True))).text == "tick"
        stage.die()
        return stage, execution, stage.home / "executions" / execution.execution_id

    return begin


@pytest.fixture
def make_queue(tmp_path: Path) -> Callable[..., MessageQueue]:
    def make(max_bytes: int = 1000, max_items: int = 100) -> MessageQueue:
        return MessageQueue(tmp_path / "outbox", max_bytes=max_bytes, max_items=max_items)

    return make


@pytest.fixture
def queue(make_queue: Callable[..., MessageQueue]) -> MessageQueue:
    return make_queue()


@pytest.fixture
def memory(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in memory, in hundreds of which no test waits for long: no process is killed here."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)
    monkeypatch.setattr(_locks, "_LONGEST", 0.002)
    monkeypatch.setattr(every_line, "PATIENCE", 0.01)
    return quick_folder
