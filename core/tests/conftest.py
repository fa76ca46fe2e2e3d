"""What tests share: an orchestrator whose services are all faked, so that each test says only what differs; spools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import Config, ContainersConfig, LoggingConfig, RuntimeConfig
from botdock.model import DEFAULT_LIMITS, Executable, Runtime
from botdock.orchestrator import BotOrchestrator, Services, Setting
from botdock.services._outbox_spool import Spool
from botdock.testing.fake_engine import FakeEngine
from botdock.testing.fake_logs import FakeLogs
from botdock.testing.fake_services import FakeCode, FakeContainers, FakeEntrypoints, FakeMetrics, FakeStorage

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


@attrs.define(kw_only=True)
class Stage:
    """An orchestrator over fakes, and the fakes."""

    engine: FakeEngine
    storage: FakeStorage
    metrics: FakeMetrics
    orchestrator: BotOrchestrator
    home: Path
    notices: list[tuple[str, dict[str, Any]]]

    @property
    def leftovers(self) -> list[str]:
        """What an execution may not leave: containers and workspaces."""
        containers = [info.name for info in self.engine.list({}, timeout=1)]
        return containers + [str(path) for path in self.home.glob("executions/*/workspace")]

    def records(self) -> list[Path]:
        return sorted(self.home.glob("executions/*"))


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(engine: FakeEngine | None = None, *, config: Config | None = None, **trees: dict[str, bytes]) -> Stage:
        settings = config or Config(
            runtime=RuntimeConfig(timeout=30, grace=1),
            containers=ContainersConfig(call_timeout=10, reconnect_timeout=0.1),
            logging=LoggingConfig(drain_timeout=1),
        )
        fake = engine or FakeEngine()
        storage, metrics = FakeStorage(), FakeMetrics()
        services = Services(
            containers=FakeContainers(fake),
            code=FakeCode({"code": TREE, **trees}),
            storage=storage,
            entrypoints=FakeEntrypoints([SHELL]),
            logs=FakeLogs(),
            metrics=metrics,
        )
        setting = Setting(config=settings, engine="fake", owner="me", user="65532:65532", limits=DEFAULT_LIMITS)
        notices: list[tuple[str, dict[str, Any]]] = []
        orchestrator = BotOrchestrator(
            services, setting, home=tmp_path, notify=lambda hook, **arguments: notices.append((hook, arguments))
        )
        stage = Stage(
            engine=fake, storage=storage, metrics=metrics, orchestrator=orchestrator, home=tmp_path, notices=notices
        )
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.orchestrator.close()


def bot(**fields: Any) -> Executable:
    return Executable(**({"id": "bot", "runtime": "shell", "file_path": "code"} | fields))


@pytest.fixture
def make_bot() -> Callable[..., Executable]:
    return bot


@pytest.fixture
def make_spool(tmp_path: Path) -> Callable[..., Spool]:
    def make(max_bytes: int = 1000, max_items: int = 100) -> Spool:
        return Spool(tmp_path / "outbox", max_bytes=max_bytes, max_items=max_items)

    return make


@pytest.fixture
def spool(make_spool: Callable[..., Spool]) -> Spool:
    return make_spool()
