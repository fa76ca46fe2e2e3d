"""Counting what botdock does."""

import threading
from datetime import UTC, datetime

import pytest

from botdock.model import ExecutionResult, LogSummary, MetricsExporter, MetricsSnapshot, OperationStats, Outcome
from botdock.model.metrics import DURATION_BUCKETS
from botdock.services.metrics import MetricsService, summary_table


class Collecting(MetricsExporter):
    def __init__(self) -> None:
        self.snapshots: list[MetricsSnapshot] = []
        self.closed = 0

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.snapshots.append(snapshot)

    def close(self) -> None:
        self.closed += 1


class Broken(MetricsExporter):
    def export(self, snapshot: MetricsSnapshot) -> None:
        raise RuntimeError("no export")

    def close(self) -> None:
        raise RuntimeError("no close")


def stats(service: MetricsService, name: str) -> OperationStats:
    return service.get_metrics().operations[name, ()]


def test_container_operations_are_counted_with_their_time_and_errors() -> None:
    service = MetricsService()
    service.record_container_operation("create", 0.02, True)
    service.record_container_operation("create", 0.2, False)
    found = stats(service, "container.create")
    assert (found.count, found.errors, round(found.seconds, 3)) == (2, 1, 0.22)
    assert found.buckets[-1] == 2


def test_log_and_storage_operations_count_bytes() -> None:
    service = MetricsService()
    service.record_log_operation("collect", True, 10)
    service.record_storage_operation("put", 100, True, 0.1)
    service.record_storage_operation("put", 50, False)
    assert stats(service, "log.collect").bytes == 10
    assert (stats(service, "storage.put").bytes, stats(service, "storage.put").buckets[-1]) == (150, 1)


def test_an_execution_is_counted_by_outcome_and_phase_but_never_by_id() -> None:
    exporter = Collecting()
    service = MetricsService([exporter])
    service.record_execution(
        ExecutionResult(
            execution_id="01",
            id="secret-bot",
            runtime="bash",
            engine="fake",
            outcome=Outcome.FAILED,
            duration=0.3,
            phases={"pull": 0.1},
            log=LogSummary(bytes=7),
        )
    )
    snapshot = service.get_metrics()
    labels = (("engine", "fake"), ("outcome", "failed"), ("runtime", "bash"))
    assert snapshot.operations["execution", labels].errors == 1
    assert snapshot.operations["phase.pull", (("engine", "fake"), ("runtime", "bash"))].seconds == 0.1
    assert "secret-bot" not in repr(snapshot)
    assert len(exporter.snapshots) == 1


def test_buckets_are_cumulative_and_quantiles_lie_in_their_bucket() -> None:
    service = MetricsService()
    for seconds in (0.001, 0.02, 0.02, 400.0):
        service.record("x", seconds=seconds)
    found = stats(service, "x")
    assert found.buckets[0] == 1
    assert found.buckets[DURATION_BUCKETS.index(0.025)] == 3
    median = found.quantile(0.5)
    assert median is not None
    assert 0.01 < median <= 0.025


def test_what_lasted_longer_than_the_last_bound_counts_as_the_last_bound() -> None:
    service = MetricsService()
    service.record("x", seconds=10_000)
    assert stats(service, "x").quantile(0.99) == DURATION_BUCKETS[-1]


def test_nothing_timed_has_no_quantile() -> None:
    assert OperationStats(count=3).quantile(0.5) is None


def test_reset_returns_what_there_was_and_loses_no_record() -> None:
    service = MetricsService()
    total = 2000
    seen = 0
    done = threading.Event()

    def record() -> None:
        for _ in range(total):
            service.record("x")
        done.set()

    thread = threading.Thread(target=record)
    thread.start()
    while not done.is_set():
        seen += sum(found.count for found in service.reset_metrics().operations.values())
    thread.join()
    seen += sum(found.count for found in service.reset_metrics().operations.values())
    assert seen == total


def test_an_exporter_that_raises_changes_nothing_for_the_others() -> None:
    last = Collecting()
    service = MetricsService([Broken(), last])
    service.record("x")
    service.export()
    service.close()
    assert (len(last.snapshots), last.closed) == (2, 1)


def test_the_summary_is_a_table_that_one_can_read() -> None:
    service = MetricsService()
    service.record("container.create", labels=(("engine", "fake"),), seconds=0.02, size=2048)
    table = service.log_metrics_summary()
    assert table.splitlines()[0].split() == ["operation", "count", "errors", "bytes", "p50", "p95", "p99"]
    assert "container.create engine=fake" in table
    assert "2 KiB" in table


def test_an_untimed_operation_shows_no_time() -> None:
    now = datetime.now(UTC)
    snapshot = MetricsSnapshot(taken_at=now, since=now, operations={("x", ()): OperationStats(count=1)})
    assert summary_table(snapshot).splitlines()[1].split() == ["x", "1", "0", "0", "B", "-", "-", "-"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_quantiles_of_the_ends_are_defined(share: float) -> None:
    service = MetricsService()
    service.record("x", seconds=0.02)
    assert stats(service, "x").quantile(share) is not None
