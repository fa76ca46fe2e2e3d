"""Counting what botdock does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from botdock.model import ExecutionResult, LogSummary, MetricsSnapshot, OperationStats, Outcome
from botdock.model.metrics import DURATION_BUCKETS, OTHER
from botdock.services.metrics import MetricsService, summary_table
from botdock.services.metrics.series import MAX_SERIES, MAX_TEXT
from botdock.services.metrics.table import NOTHING, format_seconds


def stats(service: MetricsService, name: str) -> OperationStats:
    return service.get_metrics().operations[name, ()]


def test_container_operations_are_counted_with_their_time_and_errors() -> None:
    service = MetricsService()
    service.record_container_operation("create", 0.02, True)
    service.record_container_operation("create", 0.2, False)
    found = stats(service, "container.create")
    assert (found.count, found.errors, found.timed) == (2, 1, 2)
    assert found.seconds == pytest.approx(0.22, abs=1e-5)


def test_log_and_storage_operations_count_bytes() -> None:
    service = MetricsService()
    service.record_log_operation("collect", True, 10)
    service.record_log_operation("gap", False, 3)
    service.record_storage_operation("put", 100, True, 0.1)
    service.record_storage_operation("put", 50, False)
    assert stats(service, "log.collect").bytes == 10
    assert (stats(service, "log.gap").errors, stats(service, "log.gap").bytes) == (1, 3)
    put = stats(service, "storage.put")
    assert (put.count, put.bytes, put.timed) == (2, 150, 1)


def test_an_execution_is_counted_by_outcome_and_phase_but_never_by_id() -> None:
    service = MetricsService()
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
    service.close()
    snapshot = service.get_metrics()
    labels = (("engine", "fake"), ("outcome", "failed"), ("runtime", "bash"))
    assert (snapshot.operations["execution", labels].errors, snapshot.operations["execution", labels].bytes) == (1, 7)
    pull = snapshot.operations["phase.pull", (("engine", "fake"), ("runtime", "bash"))]
    assert pull.seconds == pytest.approx(0.1, abs=1e-5)
    assert "secret-bot" not in repr(snapshot)


def test_buckets_are_cumulative_and_quantiles_lie_in_their_bucket() -> None:
    service = MetricsService()
    for seconds in (0.001, 0.02, 0.02, 400.0):
        service.record("x", seconds=seconds)
    found = stats(service, "x")
    assert found.buckets[0] == 1
    assert found.buckets[DURATION_BUCKETS.index(0.025)] == 3
    assert found.p50 is not None
    assert 0.01 < found.p50 <= 0.025
    assert found.p95 is not None
    assert found.p99 is not None
    assert 300 < found.p95 < found.p99 <= 3600


def test_what_lasted_longer_than_the_last_bound_counts_as_the_last_bound() -> None:
    service = MetricsService()
    service.record("x", seconds=10_000)
    assert stats(service, "x").p99 == DURATION_BUCKETS[-1]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_duration_that_is_none_spoils_no_sum(seconds: float) -> None:
    service = MetricsService()
    service.record("x", seconds=seconds, size=-5)
    service.record("x", seconds=0.5)
    found = stats(service, "x")
    assert (found.count, found.timed, found.seconds, found.bytes) == (2, 1, 0.5, 0)


def test_nothing_timed_has_no_quantile() -> None:
    untimed = OperationStats(count=3)
    assert (untimed.p50, untimed.p95, untimed.p99) == (None, None, None)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_quantiles_of_the_ends_are_defined(share: float) -> None:
    service = MetricsService()
    service.record("x", seconds=0.02)
    assert stats(service, "x").quantile(share) is not None


def test_a_snapshot_is_frozen() -> None:
    service = MetricsService()
    service.record("x")
    snapshot = service.get_metrics()
    operations: Any = snapshot.operations
    with pytest.raises(TypeError):
        operations["y", ()] = OperationStats()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        snapshot.since = datetime.now(UTC)  # type: ignore[misc] # that it cannot be is what is tested
    service.record("x")
    assert snapshot.operations["x", ()].count == 1


@pytest.mark.parametrize("look", ["reset", "read"])
def test_no_record_is_lost_or_counted_twice_by_a_look_meanwhile(look: str) -> None:
    service, each, writers = MetricsService(), 3000, 4
    looked, seen = threading.Event(), 0

    def record(writer: int) -> None:
        for number in range(each):
            if number == each // 2:
                assert looked.wait(30)
            service.record_storage_operation(f"put-{(writer + number) % 7}", 2, number % 3 != 0, 0.25)

    def everything(snapshot: MetricsSnapshot) -> tuple[int, int, int, int, float]:
        found = snapshot.operations.values()
        assert all(one.bytes == 2 * one.count and one.timed == one.count for one in found), "half a record"
        return (
            sum(one.count for one in found),
            sum(one.errors for one in found),
            sum(one.bytes for one in found),
            sum(one.timed for one in found),
            sum(one.seconds for one in found),
        )

    sums = [0, 0, 0, 0, 0.0]
    with ThreadPoolExecutor(writers) as threads:
        running = [threads.submit(record, writer) for writer in range(writers)]
        while not all(one.done() for one in running):
            if look == "reset":
                sums = [old + new for old, new in zip(sums, everything(service.reset_metrics()), strict=True)]
            else:
                now = everything(service.get_metrics())
                assert now[0] >= seen, "a snapshot went back"
                seen = now[0]
            looked.set()
    assert [one.result() for one in running] == [None] * writers
    last = everything(service.get_metrics())
    total = each * writers
    assert [old + new for old, new in zip(sums, last, strict=True)] == [
        total,
        writers * each // 3,
        2 * total,
        total,
        total / 4,
    ]


def test_a_reset_says_from_when_to_when() -> None:
    service = MetricsService()
    begun = service.get_metrics().since
    dropped = service.reset_metrics()
    assert (dropped.since, dropped.taken_at) == (begun, service.get_metrics().since)


def test_names_that_have_no_end_are_counted_together_and_crowd_out_no_others() -> None:
    service = MetricsService()
    for number in range(MAX_SERIES + 500):
        service.record_container_operation(f"junk-{number}", 0.1, True)
        service.record(f"plugin-{number}.x", size=1)
        service.record("execution", labels=(("engine", "docker"), ("runtime", f"r{number}")))
    service.record_storage_operation("put", 1, True)
    operations = service.get_metrics().operations
    assert len(operations) == 3 * MAX_SERIES + 2
    assert operations[OTHER].count == 3 * 500
    assert operations["storage.put", ()].count == 1
    service.record_container_operation("junk-0", 0.1, True)
    assert stats(service, "container.junk-0").count == 2
    service.reset_metrics()
    service.record_container_operation("create", 0.1, True)
    assert stats(service, "container.create").count == 1, "after a reset there is room again"


def test_names_that_are_too_long_are_not_kept() -> None:
    service = MetricsService()
    service.record("x" * (MAX_TEXT + 1))
    service.record("execution", labels=(("engine", "e" * 10**6),))
    service.record("many", labels=tuple((f"label{number:03}", "x") for number in range(200)))
    assert {series: one.count for series, one in service.get_metrics().operations.items()} == {OTHER: 3}


def test_the_summary_is_a_table_that_one_can_read() -> None:
    service = MetricsService()
    service.record("container.create", seconds=0.02, size=2048)
    service.record("container.create", seconds=90, success=False)
    service.record("execution", labels=(("engine", "docker"), ("outcome", "failed"), ("runtime", "bash")), seconds=7000)
    service.record("log.gap", size=3 * 1024 * 1024)
    for _ in range(1234):
        service.record("lonely\x1b[2J")
    lines = service.log_metrics_summary().splitlines()
    assert [" ".join(line.split()) for line in lines if line] == [
        "EXECUTION count errors bytes total p50 p95 p99",
        "docker failed bash 1 - - 1 h 56 min 1 h 0 min 1 h 0 min 1 h 0 min",
        "CONTAINER count errors bytes total p50 p95 p99",
        "create 2 1 2 KiB 1 min 30 s 25 ms 4 min 36 s 4 min 55 s",
        "LOG count errors bytes total p50 p95 p99",
        "gap 1 - 3 MiB - - - -",
        r"LONELY\x1b[2J count errors bytes total p50 p95 p99",
        "all 1,234 - - - - - -",
    ]
    assert len({len(line) for line in lines if line}) == 1, "its columns are aligned"


def test_phases_stand_in_their_own_order() -> None:
    service = MetricsService()
    for phase in ("clean_up", "attach", "validate", "of_a_plugin"):
        service.record(f"phase.{phase}", labels=(("engine", ""),))
    rows = summary_table(service.get_metrics()).splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [
        ["validate", "-"],
        ["attach", "-"],
        ["clean_up", "-"],
        ["of_a_plugin", "-"],
    ]


def test_nothing_counted_is_said() -> None:
    assert summary_table(MetricsService().get_metrics()) == NOTHING


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (0.00012, "0.12 ms"),
        (0.0125, "12.5 ms"),
        (0.9996, "1 s"),
        (1.5, "1.5 s"),
        (59.98, "1 min 0 s"),
        (150, "2 min 30 s"),
        (3599.7, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (10**8, "27,777 h 46 min"),
    ],
)
def test_durations_are_written_as_people_do(seconds: float | None, shown: str) -> None:
    assert format_seconds(seconds) == shown


COUNTS = OperationStats(count=5, errors=2, bytes=9, seconds=1.0, buckets=(*(1 for _ in DURATION_BUCKETS), 3))


def test_stats_add_up() -> None:
    twice = COUNTS.plus(COUNTS)
    assert (twice.count, twice.errors, twice.bytes, twice.seconds, twice.timed) == (10, 4, 18, 2.0, 6)
