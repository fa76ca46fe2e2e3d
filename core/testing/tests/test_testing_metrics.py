"""The contract of metrics exporters holds good ones, and finds bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.model import MetricsExporter, MetricsSnapshot
from botdock_testing import MetricsExporterContract


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


class Hoarding(Lines):
    def __init__(self, path: Path) -> None:
        super().__init__(path, wants_total=False)
        self.kept: list[MetricsSnapshot] = []

    def export(self, snapshot: MetricsSnapshot) -> None:
        self.kept.append(snapshot)


def test_the_contract_finds_an_exporter_that_adds_up_what_is_a_sum_already(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    with pytest.raises(AssertionError):
        MetricsExporterContract().test_the_same_snapshot_twice_counts_once(
            Adding(path, wants_total=False), lambda: int(path.read_text())
        )


def test_the_contract_finds_an_exporter_that_keeps_everything(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="fill the memory"):
        MetricsExporterContract().test_it_changes_no_snapshot_and_keeps_but_the_newest(Hoarding(tmp_path / "x"))
