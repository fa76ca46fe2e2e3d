"""What runners counted outlives them: one sum for each state folder."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import _database
from botdock.errors import MetricsError
from botdock.model import MetricsSnapshot, OperationStats
from botdock.services.metrics import MetricsService
from botdock.services.metrics.series import MAX_SERIES
from botdock.services.metrics.total import NAME, TotalExporter, read_total, reset_total

X = ("x", ())


class Runner:
    """One runner's numbers, kept when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.service = MetricsService(folder=folder)
        assert self.service._total
        self.total: TotalExporter = self.service._total

    def count(self, times: int = 1, name: str = "x") -> Runner:
        for _ in range(times):
            self.service.record(name, seconds=0.1, size=3)
        self.total.export()
        return self


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


def counted(folder: Path, name: str = "x") -> int:
    return read_total(folder).snapshot.operations.get((name, ()), OperationStats()).count


def test_where_nothing_was_counted_there_is_nothing_and_nothing_is_made(folder: Path) -> None:
    Runner(folder).count(0)
    assert read_total(folder).snapshot.operations == {}
    assert reset_total(folder).runners == 0
    assert not folder.exists()


def test_the_sum_is_of_all_runners_and_what_was_reset_in_a_process_still_counts(folder: Path) -> None:
    first, second = Runner(folder).count(1), Runner(folder).count(10)
    second.service.reset_metrics()
    second.count(100)
    first.count(1000)
    total = read_total(folder)
    assert total.snapshot.operations[X] == Runner(folder).total.total().operations[X]  # type: ignore[union-attr] # it is there
    assert (total.snapshot.operations[X].count, total.snapshot.operations[X].bytes, total.runners) == (1111, 3333, 2)
    assert second.service.get_metrics().operations[X].count == 100
    for runner in (first, second):
        runner.total.close()
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == [NAME]


def test_a_reset_returns_what_it_forgets_and_misses_nothing_that_comes(folder: Path) -> None:
    living = Runner(folder).count(300)
    living.service.record("x")  # not written yet: it is of the time after the reset
    before = reset_total(folder)
    assert (before.snapshot.operations[X].count, before.runners) == (300, 1)
    after = read_total(folder)
    assert (after.snapshot.operations, after.runners) == ({}, 0)
    assert after.snapshot.since > before.snapshot.since
    living.count(4000)
    assert (counted(folder), read_total(folder).runners) == (4001, 1)


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


@pytest.mark.parametrize("damage", [b"{" * 600, b"\xff" * 5000, b"SQLite format 3\x00" + b"\x07" * 9000])
def test_a_damaged_file_is_put_aside_and_what_is_counted_then_is_kept(folder: Path, damage: bytes) -> None:
    Runner(folder).count(1).total.close()
    (folder / NAME).write_bytes(damage)
    Runner(folder).count(10)
    assert counted(folder) == 10
    assert (folder / f"damaged-{NAME}").read_bytes() == damage


def test_damage_that_is_found_only_later_costs_the_numbers_of_the_file_alone(folder: Path) -> None:
    """A page in the middle, which only reading the rows meets."""
    runner = Runner(folder)
    for number in range(200):
        runner.service.record(f"x{number}")
    runner.total.export()
    runner.total.close()
    with (folder / NAME).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    runner.service.record("x")
    with pytest.raises(MetricsError, match=NAME):
        runner.total.export()
    runner.total.export()
    assert counted(folder) == 1


def test_a_file_of_another_version_is_left_alone_and_told(folder: Path) -> None:
    runner = Runner(folder).count(1)
    runner.total.close()
    with closing(sqlite3.connect(folder / NAME)) as database:
        database.execute("PRAGMA user_version = 1")
    for call in (runner.count, lambda: read_total(folder), lambda: reset_total(folder)):
        with pytest.raises(MetricsError, match=r"another version of botdock wrote it: move .*total\.sqlite away"):
            call()
    (folder / NAME).unlink()
    runner.count(1)
    assert counted(folder) == 2, "what could not be written meanwhile was lost"


def test_names_and_numbers_that_have_no_end_do_not_stop_the_total(folder: Path) -> None:
    odd = Runner(folder)
    for _ in range(3):
        odd.service.record("huge", size=2**100, seconds=1e308)
        odd.service.record("\udcff", labels=(("\x00", "\u2028"),))
        odd.total.export()
    for runner in range(3):
        one = Runner(folder)
        for number in range(MAX_SERIES):
            one.service.record(f"junk-{runner}-{number}")
        one.total.export()
    operations = read_total(folder).snapshot.operations
    assert operations["\udcff", (("\x00", "\u2028"),)].count == operations["huge", ()].count == 3
    assert len(operations) == MAX_SERIES + 1
    assert sum(stats.count for stats in operations.values()) == 3 * MAX_SERIES + 6


def test_a_file_that_another_process_is_busy_with_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_database, "BUSY", 0.05)
    runner = Runner(folder).count(1)
    with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        for call in (lambda: reset_total(folder), runner.count):
            with pytest.raises(MetricsError, match=r"metrics folder .*: another process has been busy with it for 0\."):
                call()
        assert runner.total.total() is None
        assert counted(folder) == 1
    runner.count(1)
    assert counted(folder) == 3


def test_a_disk_that_fails_at_any_call_counts_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    for failing in range(4):
        runner, calls = Runner(folder), iter(range(100))

        def full(*arguments: Any, failing: int = failing, calls: Iterator[int] = calls, **more: Any) -> Any:
            if next(calls) == failing:
                raise sqlite3.OperationalError("unable to open database file")
            return connect(*arguments, **more)

        before = counted(folder)
        runner.service.record("x")
        with monkeypatch.context() as patch:
            patch.setattr("botdock._database.sqlite3.connect", full)
            with suppress(MetricsError):
                runner.total.export()
        runner.total.export()
        assert counted(folder) == before + 1


def test_a_child_that_is_forked_adds_its_own_numbers(folder: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from botdock.services.metrics import MetricsService\n"
        "s = MetricsService(folder=Path(sys.argv[1])); s.record('x'); s._total.export()\n"
        "child = os.fork(); [s.record('x') for _ in range(10)]; s._total.export(); s._total.close()\n"
        "child and sys.exit(os.waitpid(child, 0)[1])"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    assert counted(folder) == 21


def test_a_folder_that_becomes_read_only_is_told_and_counts_later(folder: Path) -> None:
    folder.mkdir()
    if os.geteuid() or change_all("+i", folder):
        pytest.skip("only root can make files immutable, and on some file systems only")
    change_all("-i", folder)
    program = (
        "import subprocess, sys; from pathlib import Path; from botdock.errors import MetricsError\n"
        "from botdock.services.metrics import MetricsService\n"
        "def change(how):\n"
        "    subprocess.run(['sync', *Path(sys.argv[1]).iterdir()])\n"  # else what is mapped may be written as before
        "    subprocess.run(['chattr', '-R', '-f', how, sys.argv[1]])\n"
        "s = MetricsService(folder=Path(sys.argv[1])); s.record('x'); s._total.export(); s.record('x')\n"
        "change('+i')\n"
        "try: s._total.export()\n"
        "except MetricsError: s.record('x'); s._total.close()\n"
        "finally: change('-i')\n"
        "s._total.export(); s._total.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    assert counted(folder) == 3


def change_all(how: str, folder: Path) -> int:
    return subprocess.run(["chattr", "-R", "-f", how, str(folder)], check=False).returncode


def test_many_runners_at_once_lose_nothing(folder: Path) -> None:
    stop, forgotten = threading.Event(), [0]

    def live(seed: int) -> int:
        chance, done = random.Random(seed), 0
        for _ in range(12):
            runner = Runner(folder)
            for _ in range(2):
                runner.count(times := chance.randrange(1, 5))
                done += times
        return done

    def look() -> None:
        seen = 0
        while not stop.is_set():
            now = counted(folder)
            assert now >= seen, "the sum went back"
            seen = now
            if now > 40:
                forgotten[0] += reset_total(folder).snapshot.operations[X].count
                seen = 0

    with ThreadPoolExecutor(5) as threads:
        looking = threads.submit(look)
        lived = sum(threads.map(live, range(4)))
        stop.set()
        looking.result()
    assert counted(folder) + forgotten[0] == lived
