"""The files in which runners keep their numbers: written, read back, damaged; and adding them up."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import MetricsSnapshot, OperationStats
from botdock.model.metrics import DURATION_BUCKETS
from botdock.services.metrics import MetricsService
from botdock.services.metrics.files import Account, DamagedFileError, encode, read_account

X = ("x", ())
NOW = datetime(2026, 1, 2, tzinfo=UTC)


COUNTS = st.integers(0, 2**40)
TEXT = st.text(max_size=12)
SERIES = st.tuples(TEXT, st.dictionaries(TEXT, TEXT, max_size=3).map(lambda labels: tuple(sorted(labels.items()))))


@st.composite
def stats(draw: st.DrawFn) -> OperationStats:
    buckets = tuple(
        sorted(draw(st.lists(COUNTS, min_size=len(DURATION_BUCKETS) + 1, max_size=len(DURATION_BUCKETS) + 1)))
    )
    count = buckets[-1] + draw(COUNTS)
    seconds = draw(st.floats(0, 2**40, allow_nan=False))
    return OperationStats(
        count=count, errors=draw(st.integers(0, count)), bytes=draw(COUNTS), seconds=seconds, buckets=buckets
    )


@given(st.dictionaries(SERIES, stats(), max_size=5))
def test_a_file_holds_what_was_written(operations: dict[Any, OperationStats]) -> None:
    account = Account(since=NOW, operations=operations, runners=3, folded=("a", "b"), offsets={"c": operations})
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(encode(account))
        assert read_account(Path(file.name)) == account


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 600), st.integers(0, 60))
def test_whatever_becomes_of_a_file_it_is_read_or_reported(junk: bytes, at: int, cut: int) -> None:
    good = encode(Account(since=NOW, operations={X: OperationStats(count=1)}))
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(good[:at] + junk + good[at + cut :])
        try:
            account = read_account(Path(file.name))
        except DamagedFileError as error:
            reported = str(error)
        else:
            reported = file.name if isinstance(account, Account) else ""
    assert file.name in reported


@given(st.lists(st.lists(st.floats(0, 10**6), max_size=6), min_size=1, max_size=6), st.randoms())
def test_sums_of_durations_are_the_same_in_any_order(lives: list[list[float]], chance: random.Random) -> None:
    """So that no sum is less by a rounding after runners were added in another order: it would read as a restart."""

    def snapshots() -> Iterator[MetricsSnapshot]:
        for durations in lives:
            service = MetricsService()
            for seconds in durations:
                service.record("x", seconds=seconds)
            yield service.get_metrics()

    found = [one.operations[X] for one in snapshots() if one.operations]
    mixed = chance.sample(found, len(found))
    total, other = OperationStats(), OperationStats()
    for one, two in zip(found, mixed, strict=True):
        total, other = total.plus(one), two.plus(other)
    assert total == other


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock.services.metrics.files.LARGEST", 100)
    (tmp_path / "total.json").write_bytes(b" " * 101)
    with pytest.raises(DamagedFileError, match="more than 100 bytes"):
        read_account(tmp_path / "total.json")
