"""What every metrics exporter must do, as tests that any plugin can run."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import ClassVar

import attrs
import pytest

from botdock.model import ExecutionResult, MetricsExporter, MetricsSnapshot, OperationStats, Outcome
from botdock.model.metrics import Series
from botdock.services.metrics import MetricsService
from botdock_testing._kept import Contract

Seen = Callable[[], float | None]

ODD_LABELS = (
    (("engine", ""), ("runtime", "")),
    (("engine", 'quo"ted'), ("runtime", "back\\slash")),
    (("engine", "line\nbreak"), ("runtime", "\U0001f600 \x1b[31m \x00")),
    (("", "no name"),),
    (("1st-label", "a"), ("le", "b"), ("operation", "c"), ("result", "d")),
    (("__name__", "reserved"), ("é", "x")),
    (("a-b", "1"), ("a.b", "2"), ("a_b", "3")),
)
"""Legal, every one: labels are any text."""
ODD_NAMES = ("", ".", "x", "x.y.z", "log.", "execution", "execution.x", "phase", "Ünï.cödé", "a b.c\nd", "other")


def make_snapshot(executions: int = 1, *, series: int = 0, total: MetricsSnapshot | None = None) -> MetricsSnapshot:
    """Return a snapshot of some executions that succeeded and, beside them, any number of other series."""
    operations: dict[Series, OperationStats] = {
        (f"container.operation-{number}", ()): OperationStats(count=1) for number in range(series)
    }
    if executions:
        labels = (("engine", "fake"), ("outcome", "succeeded"), ("runtime", "bash"))
        buckets = (*(0 for _ in OperationStats().buckets[:-1]), executions)
        operations["execution", labels] = OperationStats(count=executions, seconds=7200.0, buckets=buckets)
    now = datetime.now(UTC)
    return MetricsSnapshot(taken_at=now, since=now, operations=operations, total=total)


def odd_snapshot() -> MetricsSnapshot:
    """Return a snapshot with every name and label that is odd and legal."""
    keys = [*((name, ()) for name in ODD_NAMES), *(("execution", labels) for labels in ODD_LABELS)]
    keys += [("container.create", labels) for labels in ODD_LABELS]
    return attrs.evolve(make_snapshot(0), operations={key: OperationStats(count=1, errors=1, bytes=1) for key in keys})


class MetricsExporterContract(Contract, contract=True):
    """Tests that hold for every `MetricsExporter`.

    Subclass it with the fixture `exporter`, which gives a fresh one, and does not close it: the contract does. With
    the fixture `seen` besides, which gives a function that says how many executions the world outside was told of,
    the contract can look at what comes out as well. Of an exporter that wants the total, that is the total's.

    Example:
        ```python
        import pytest
        from botdock_testing import MetricsExporterContract
        from my_package.exporter import FileExporter

        class TestFile(MetricsExporterContract):
            @pytest.fixture
            def exporter(self, tmp_path):
                return FileExporter(tmp_path / "metrics.txt")

            @pytest.fixture
            def seen(self, tmp_path):
                return lambda: int((tmp_path / "metrics.txt").read_text())
        ```

    Attributes:
        seconds: How long one export of `series` series may take; a push over a network may need more.
        series: Series of the largest snapshot.
    """

    seconds: ClassVar[float] = 5.0
    series: ClassVar[int] = 2000

    @pytest.fixture
    def seen(self) -> Seen:
        """Say that what comes out cannot be looked at."""
        return lambda: None

    @pytest.fixture
    def opened(self, exporter: MetricsExporter) -> Iterator[MetricsExporter]:
        """Close the exporter after the test, once."""
        yield exporter
        exporter.close()

    def test_it_takes_a_snapshot_of_nothing(self, opened: MetricsExporter, seen: Seen) -> None:
        opened.export(make_snapshot(0, total=make_snapshot(0)))
        assert seen() in {None, 0}

    def test_it_takes_odd_names_and_labels(self, opened: MetricsExporter, seen: Seen) -> None:
        opened.export(attrs.evolve(odd_snapshot(), total=odd_snapshot()))
        opened.export(make_snapshot(3, total=make_snapshot(3)))
        assert seen() in {None, 3}, "after odd ones, plain ones are exported as ever"

    def test_the_same_snapshot_twice_counts_once(self, opened: MetricsExporter, seen: Seen) -> None:
        snapshot = make_snapshot(4, total=make_snapshot(4))
        opened.export(snapshot)
        opened.export(snapshot)
        assert seen() in {None, 4}

    def test_the_last_snapshot_is_what_counts(self, opened: MetricsExporter, seen: Seen) -> None:
        for executions in (1, 5, 2):  # less, after a reset
            opened.export(make_snapshot(executions, total=make_snapshot(executions)))
            assert seen() in {None, executions}

    def test_it_takes_snapshots_without_a_total(self, opened: MetricsExporter, seen: Seen) -> None:
        opened.export(make_snapshot(6))
        assert seen() in {None, 6}

    def test_the_total_is_for_those_who_want_it(self, opened: MetricsExporter, seen: Seen) -> None:
        opened.export(make_snapshot(1, total=make_snapshot(7)))
        assert seen() in {None, 7 if opened.wants_total else 1}

    def test_several_threads_may_export_at_once(self, opened: MetricsExporter, seen: Seen) -> None:
        snapshots = [make_snapshot(executions, total=make_snapshot(executions)) for executions in range(1, 33)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(opened.export, snapshots))
        assert seen() in {None, *range(1, 33)}
        opened.export(make_snapshot(40, total=make_snapshot(40)))
        assert seen() in {None, 40}

    def test_it_changes_no_snapshot_and_keeps_but_the_newest(self, opened: MetricsExporter) -> None:
        snapshot = make_snapshot(2, series=10, total=make_snapshot(3, series=10))
        before = dict(snapshot.operations)
        opened.export(snapshot)
        assert snapshot.operations == before
        kept = weakref.ref(snapshot)
        del snapshot
        opened.export(make_snapshot(3, total=make_snapshot(3)))
        gc.collect()
        assert kept() is None, "one snapshot for each execution would fill the memory"

    def test_a_large_snapshot_is_exported_in_time(self, opened: MetricsExporter) -> None:
        large = make_snapshot(series=self.series)
        started = time.monotonic()
        opened.export(attrs.evolve(large, total=large))
        assert time.monotonic() - started < self.seconds

    def test_a_closed_exporter_leaves_no_thread_and_no_descriptor(self, exporter: MetricsExporter) -> None:
        exporter.export(make_snapshot(total=make_snapshot()))
        threads, descriptors = threading.active_count(), _descriptors()
        exporter.close()
        assert threading.active_count() <= threads
        assert _descriptors() <= descriptors
        assert not [thread for thread in threading.enumerate() if _is_of(thread, exporter)]

    def test_one_that_is_closed_without_an_export_closes(self, exporter: MetricsExporter) -> None:
        exporter.close()

    def test_a_service_gives_it_the_last_numbers_and_closes_it(self, exporter: MetricsExporter, seen: Seen) -> None:
        told: list[MetricsSnapshot] = []
        service = MetricsService({"probed": lambda: _Probed(exporter, told, seen)})
        for number in range(20):
            service.record_execution(
                ExecutionResult(
                    execution_id=f"{number:026}",
                    id="bot",
                    runtime="bash",
                    engine="fake",
                    outcome=Outcome.SUCCEEDED,
                    duration=0.1,
                )
            )
        service.close()
        assert told, "the exporter was closed before it had the last numbers"


class _Probed(MetricsExporter):
    """Passes everything on, and looks before it closes what the exporter made of it."""

    def __init__(self, exporter: MetricsExporter, told: list[MetricsSnapshot], seen: Seen) -> None:
        self.wants_total = exporter.wants_total
        self._exporter = exporter
        self._told = told
        self._seen = seen
        self._last: MetricsSnapshot | None = None

    def export(self, snapshot: MetricsSnapshot) -> None:
        self._exporter.export(snapshot)
        self._last = snapshot

    def close(self) -> None:
        if self._last is not None and self._seen() in {None, 20}:
            self._told.append(self._last)
        self._exporter.close()


def _is_of(thread: threading.Thread, exporter: MetricsExporter) -> bool:
    return getattr(getattr(thread, "_target", None), "__self__", None) is exporter


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208 - one call each, of a folder that lists the call itself
