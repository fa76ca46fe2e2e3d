"""Exporters are told of everything, and delay no execution."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger as loguru_logger

from botdock import Config, PluginManager
from botdock.errors import ConfigError, MetricsError
from botdock.factory import ServiceFactory
from botdock.model import ExecutionResult, MetricsExporter, MetricsExporterPlugin, MetricsSnapshot, Outcome
from botdock.services.metrics import MetricsService, metrics_folder, read_total
from botdock.services.metrics import service as service_module
from testbed.waiting import until

PATIENCE = 20.0
RESULT = ExecutionResult(
    execution_id="01", id="bot", runtime="bash", engine="fake", outcome=Outcome.SUCCEEDED, duration=0.1
)


def executions(snapshot: MetricsSnapshot | None) -> int:
    assert snapshot is not None
    return sum(stats.count for (name, _), stats in snapshot.operations.items() if name == "execution")


class Collecting(MetricsExporter):
    def __init__(self, *, wants_total: bool = False) -> None:
        self.wants_total = wants_total
        self.snapshots: list[MetricsSnapshot] = []
        self.threads: set[int] = set()
        self.closed = 0

    def export(self, snapshot: MetricsSnapshot) -> None:
        assert not self.closed
        self.threads.add(threading.get_ident())
        self.snapshots.append(snapshot)

    def close(self) -> None:
        self.closed += 1


class Broken(MetricsExporter):
    def export(self, snapshot: MetricsSnapshot) -> None:
        raise RuntimeError("no export")

    def close(self) -> None:
        raise RuntimeError("no close")


class Blocking(Collecting):
    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.entered.set()
        self.released.wait(PATIENCE)
        super().export(snapshot)


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    exporter = Blocking()
    yield exporter
    exporter.released.set()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What botdock's log says."""
    lines: list[str] = []
    loguru_logger.enable("botdock")
    sink = loguru_logger.add(
        lambda message: lines.append(f"{message.record['message']} {message.record['extra']}"), level="WARNING"
    )
    yield lines
    loguru_logger.remove(sink)
    loguru_logger.disable("botdock")


def test_an_exporter_is_told_after_an_execution_and_closed_once_after_the_last_numbers() -> None:
    exporter = Collecting()
    service = MetricsService({"collecting": lambda: exporter})
    service.record_execution(RESULT)
    until(lambda: bool(exporter.snapshots))
    service.record("late")
    service.close()
    service.close()
    assert exporter.closed == 1
    assert exporter.snapshots[-1].operations["late", ()].count == 1
    assert len(exporter.threads) == 1
    assert threading.get_ident() not in exporter.threads


def test_an_exporter_hears_of_a_bot_that_runs_for_days_before_it_ends() -> None:
    exporter = Collecting()
    service = MetricsService({"collecting": lambda: exporter}, interval=0.01)
    service.start()
    service.record_log_operation("collect", True, 10)
    until(lambda: any(snapshot.operations for snapshot in exporter.snapshots))
    service.close()
    empty_or_new = [len(snapshot.operations) for snapshot in exporter.snapshots[:-1]]
    assert empty_or_new == sorted(set(empty_or_new)), "it was told of the same thing twice"


def test_an_exporter_that_blocks_delays_no_execution_and_gets_the_newest_in_the_end(blocking: Blocking) -> None:
    last = Collecting()
    service = MetricsService({"blocking": lambda: blocking, "last": lambda: last})
    service.record_execution(RESULT)
    assert blocking.entered.wait(PATIENCE)
    started = time.monotonic()
    for _ in range(500):
        service.record_execution(RESULT)
    assert time.monotonic() - started < 5
    until(lambda: [executions(one) for one in last.snapshots[-1:]] == [501])  # another one is not delayed
    blocking.released.set()
    until(lambda: bool(blocking.snapshots) and executions(blocking.snapshots[-1]) == 501)
    assert len(blocking.snapshots) <= 3, "what was missed was queued"
    service.close()


def test_closing_gives_a_blocked_exporter_a_bounded_time(
    blocking: Blocking, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    monkeypatch.setattr(service_module, "CLOSE_TIMEOUT", 0.2)
    last = Collecting()
    service = MetricsService({"blocking": lambda: blocking, "last": lambda: last})
    service.record_execution(RESULT)
    assert blocking.entered.wait(PATIENCE)
    started = time.monotonic()
    service.close()
    assert time.monotonic() - started < 5
    assert last.closed == 1
    assert [line for line in told if "did not finish in time" in line and "blocking" in line]
    service.record_execution(RESULT)  # and who still records is not disturbed
    blocking.released.set()
    until(lambda: blocking.closed == 1)  # when it came back


def test_an_exporter_that_raises_changes_nothing_for_the_others_and_is_told_of_once(told: list[str]) -> None:
    last = Collecting()
    service = MetricsService({"broken": Broken, "last": lambda: last}, interval=0.01)
    for number in range(1, 5):
        service.record_execution(RESULT)
        until(lambda: [executions(one) for one in last.snapshots[-1:]] == [number])  # noqa: B023 - asked at once
    service.close()
    assert last.closed == 1
    assert sum("metrics export failed" in line for line in told) == 1
    assert "no export" in told[0]


def test_an_exporter_that_cannot_be_opened_is_told_and_bots_run_without_it(told: list[str]) -> None:
    def refuse() -> MetricsExporter:
        raise MetricsError("the port is taken")

    last = Collecting()
    service = MetricsService({"refusing": refuse, "last": lambda: last})
    service.start()
    service.record_execution(RESULT)
    service.close()
    assert executions(last.snapshots[-1]) == 1
    assert [line for line in told if "not opened" in line and "the port is taken" in line]


def test_wrong_settings_of_an_exporter_are_an_error_and_leave_none_open() -> None:
    def refuse() -> MetricsExporter:
        raise ConfigError(["options.x: wrong"])

    first = Collecting()
    service = MetricsService({"first": lambda: first, "wrong": refuse})
    with pytest.raises(ConfigError):
        service.start()
    assert first.closed == 1


def test_a_service_that_only_counts_opens_nothing_and_starts_no_thread(tmp_path: Path) -> None:
    opened: list[str] = []

    def open_exporter() -> MetricsExporter:
        opened.append("opened")
        return Collecting()

    before = threading.active_count()
    service = MetricsService({"x": open_exporter}, folder=tmp_path / "metrics")
    service.record_storage_operation("put", 1, True)
    assert (opened, threading.active_count(), list(tmp_path.iterdir())) == ([], before, [])


def test_an_exporter_that_wants_the_total_gets_it(tmp_path: Path) -> None:
    first = MetricsService(folder=tmp_path / "metrics")
    first.record_execution(RESULT)
    first.close()
    wanting, content = Collecting(wants_total=True), Collecting()
    second = MetricsService({"wanting": lambda: wanting, "content": lambda: content}, folder=tmp_path / "metrics")
    second.record_execution(RESULT)
    second.close()
    assert (executions(wanting.snapshots[-1]), executions(wanting.snapshots[-1].total)) == (1, 2)
    assert content.snapshots[-1].total is None
    assert executions(read_total(tmp_path / "metrics").snapshot) == 2


def test_a_total_that_cannot_be_had_is_none(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "metrics").write_text("a file")
    wanting = Collecting(wants_total=True)
    service = MetricsService({"wanting": lambda: wanting}, folder=tmp_path / "metrics")
    service.record_execution(RESULT)
    service.close()
    assert wanting.snapshots[-1].total is None
    assert executions(wanting.snapshots[-1]) == 1
    assert any("metrics of other runners not read" in line for line in told)


def factory(tmp_path: Path, **sections: Any) -> ServiceFactory:
    class Plugins(PluginManager):
        def metrics_exporter(self, name: str) -> MetricsExporterPlugin:
            return MetricsExporterPlugin(name=name, factory=lambda config: Collecting())

    return ServiceFactory(Config(home=str(tmp_path), **sections), Plugins())


def test_the_factory_makes_a_service_that_keeps_its_numbers_in_the_state_folder(tmp_path: Path) -> None:
    service = factory(tmp_path).create_metrics_service()
    service.record_execution(RESULT)
    service.close()
    assert executions(read_total(metrics_folder(tmp_path)).snapshot) == 1


def test_a_switch_turns_it_all_off(tmp_path: Path) -> None:
    from botdock.config import Features, MetricsConfig

    config = {"features": Features(metrics=False), "metrics": MetricsConfig(exporters=("x",))}
    service = factory(tmp_path, **config).create_metrics_service()
    service.record_execution(RESULT)
    service.close()
    assert list(tmp_path.iterdir()) == []
    assert executions(service.get_metrics()) == 1


def test_what_is_counted_while_no_execution_ends_is_in_the_folder_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot that runs for days ends nothing, and a kill of its runner loses what is not written down."""
    monkeypatch.setattr(service_module, "KEEP_PAUSE", 0.05)
    service = MetricsService(folder=tmp_path / "metrics", interval=3600)
    service.start()
    for size in (3, 7):
        service.record_log_operation("store", True, size)
        counted = service.get_metrics().operations
        until(lambda counted=counted: read_total(tmp_path / "metrics").snapshot.operations == counted)  # type: ignore[misc] # bound at once
    service.close()
