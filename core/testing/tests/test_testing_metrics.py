"""The contract of metrics exporters holds good ones, and finds bad ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from botdock.model import MetricsExporter, MetricsSnapshot
from botdock_testing import MetricsExporterContract
from testbed.mutants import CAUGHT, call, unbroken


def executions(snapshot: MetricsSnapshot) -> int:
    return sum(stats.count for (name, _), stats in snapshot.operations.items() if name == "execution")


class Lines(MetricsExporter):
    """Writes the number of executions to a file, as the example of the contract does."""

    def __init__(self, path: Path, *, wants_total: bool) -> None:
        self.path = path
        self.wants_total = wants_total

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.path.write_text(str(executions(snapshot.total or snapshot if self.wants_total else snapshot)))

    def close(self) -> None:
        return


class TestLines(MetricsExporterContract):
    @pytest.fixture(params=[False, True])
    def exporter(self, tmp_path: Path, request: pytest.FixtureRequest) -> Lines:
        return Lines(tmp_path / "seen", wants_total=request.param)

    @pytest.fixture
    def seen(self, tmp_path: Path) -> Callable[[], int]:
        return lambda: int((tmp_path / "seen").read_text())


class Adding(Lines):
    """Counts a snapshot anew each time it is told of it."""

    def export(self, snapshot: MetricsSnapshot) -> None:
        before = int(self.path.read_text()) if self.path.exists() else 0
        self.path.write_text(str(before + executions(snapshot)))


class Growing(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        before = int(self.path.read_text()) if self.path.exists() else 0
        self.path.write_text(str(max(before, executions(snapshot))))


class Inventing(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        self.path.write_text(str(executions(snapshot) or 1))


class Picky(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        assert all(name.isidentifier() for _, labels in snapshot.operations for name, _ in labels)
        super().export(snapshot)


class WantingTotals(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        assert snapshot.total is not None
        super().export(snapshot)


class ForgettingTotals(Lines):
    wants_total = True

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.path.write_text(str(executions(snapshot)))


class Bound(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        assert threading.current_thread() is threading.main_thread()
        super().export(snapshot)


class Hoarding(Lines):
    kept: ClassVar[list[MetricsSnapshot]] = []

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.kept.append(snapshot)


class Slow(Lines):
    def export(self, snapshot: MetricsSnapshot) -> None:
        time.sleep(2 * Hurried.seconds)


class Lingering(Lines):
    ended: ClassVar[threading.Event]

    def export(self, snapshot: MetricsSnapshot) -> None:
        threading.Thread(target=self.linger, daemon=True).start()

    def linger(self) -> None:
        self.ended.wait()


class Opening(Lines):
    def close(self) -> None:
        assert self.path.exists(), "what is there to close?"


class Late(Lines):
    before = "0"

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.path.write_text(self.before)
        self.before = str(executions(snapshot))


class Hurried(MetricsExporterContract):
    """Gives so little time that what sleeps on purpose is always too slow."""

    seconds = 0.05
    series = 1


BROKEN: dict[str, type[Lines]] = {
    "test_it_takes_a_snapshot_of_nothing": Inventing,
    "test_it_takes_odd_names_and_labels": Picky,
    "test_the_same_snapshot_twice_counts_once": Adding,
    "test_the_last_snapshot_is_what_counts": Growing,
    "test_it_takes_snapshots_without_a_total": WantingTotals,
    "test_the_total_is_for_those_who_want_it": ForgettingTotals,
    "test_several_threads_may_export_at_once": Bound,
    "test_it_changes_no_snapshot_and_keeps_but_the_newest": Hoarding,
    "test_a_large_snapshot_is_exported_in_time": Slow,
    "test_a_closed_exporter_leaves_no_thread_and_no_descriptor": Lingering,
    "test_one_that_is_closed_without_an_export_closes": Opening,
    "test_a_service_gives_it_the_last_numbers_and_closes_it": Late,
}


@pytest.mark.parametrize(("test", "broken"), BROKEN.items())
def test_what_breaks_a_promise_is_found(tmp_path: Path, test: str, broken: type[Lines]) -> None:
    path = tmp_path / "seen"
    Lingering.ended = threading.Event()
    exporter = broken(path, wants_total=broken.wants_total)
    values = {"exporter": exporter, "opened": exporter, "seen": lambda: int(path.read_text())}
    contract = Hurried() if broken is Slow else MetricsExporterContract()
    with pytest.raises(CAUGHT):
        call(contract, test, values)
    Lingering.ended.set()
    Hoarding.kept.clear()


def test_every_promise_has_something_that_breaks_it() -> None:
    assert unbroken(MetricsExporterContract, BROKEN) == set()
