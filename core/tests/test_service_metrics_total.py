"""What runners counted outlives them: one sum for each state folder."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from botdock.errors import MetricsError
from botdock.model import OperationStats
from botdock.model.metrics import DURATION_BUCKETS
from botdock.services._locks import locked
from botdock.services.metrics import MetricsService, total
from botdock.services.metrics.files import Account, encode
from botdock.services.metrics.ledger import CROWD, Ledger
from botdock.services.metrics.series import MAX_SERIES
from botdock.services.metrics.total import open_total, read_total, reset_total

X = ("x", ())
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Runner:
    """One runner's numbers, kept when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.service = MetricsService()
        self.ledger = Ledger(folder, self.service._lifetime)

    def count(self, times: int = 1, name: str = "x") -> Runner:
        for _ in range(times):
            self.service.record(name, seconds=0.1, size=3)
        self.ledger.export(self.service.get_metrics())
        return self

    def die(self) -> None:
        """What the kernel does to the lock of a process that is killed."""
        self.ledger._held.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


def counted(folder: Path, name: str = "x") -> int:
    return read_total(folder).snapshot.operations.get((name, ()), OperationStats()).count


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_where_nobody_counted_there_is_nothing_and_nothing_is_made(folder: Path) -> None:
    assert read_total(folder).snapshot.operations == {}
    assert reset_total(folder).ended == 0
    assert not folder.exists()


def test_the_sum_is_of_those_that_run_and_those_that_have_ended(folder: Path) -> None:
    first, second, third = Runner(folder).count(1), Runner(folder).count(10), Runner(folder).count(100)
    first.ledger.close()
    second.die()
    total = read_total(folder)
    assert total.snapshot.operations[X].count == 111
    assert total.snapshot.operations[X].bytes == 333
    assert (total.ended, total.running, total.problems) == (2, 1, ())
    third.ledger.close()
    assert files(folder) == {"lock", "total.json"}
    assert (counted(folder), read_total(folder).ended) == (111, 3)


def test_a_runner_that_counted_nothing_leaves_nothing(folder: Path) -> None:
    Runner(folder).ledger.close()
    assert not folder.exists()


def test_what_was_reset_in_the_process_still_counts_in_the_sum(folder: Path) -> None:
    runner = Runner(folder).count(2)
    runner.service.reset_metrics()
    runner.count(3)
    assert runner.service.get_metrics().operations[X].count == 3
    runner.ledger.close()
    assert counted(folder) == 5


def test_runners_that_are_all_killed_do_not_fill_the_folder(folder: Path) -> None:
    for number in range(3 * CROWD):
        Runner(folder).count().die()
        assert len(files(folder)) <= 2 * CROWD + 4
        assert counted(folder) == number + 1


def test_a_closing_runner_adds_any_number_of_dead_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock.services.metrics.ledger.CROWD", 10**6)
    monkeypatch.setattr(total, "BATCH", 7)
    for _ in range(40):
        Runner(folder).count().die()
    Runner(folder).count().ledger.close()
    assert files(folder) == {"lock", "total.json"}
    assert counted(folder) == 41


def test_a_reset_forgets_what_was_and_misses_nothing_that_comes(folder: Path) -> None:
    Runner(folder).count(1).ledger.close()
    Runner(folder).count(20).die()
    living = Runner(folder).count(300)
    before = reset_total(folder)
    assert (before.snapshot.operations[X].count, before.ended, before.running) == (321, 2, 1)
    after = read_total(folder)
    assert (after.snapshot.operations, after.ended, after.running) == ({}, 0, 1)
    assert after.snapshot.since > before.snapshot.since
    living.count(4000)
    assert counted(folder) == 4000
    reset_total(folder)
    living.count(50000)
    living.ledger.close()
    assert counted(folder) == 50000
    assert files(folder) == {"lock", "total.json"}


def test_a_total_for_an_exporter_has_what_was_counted_just_now_and_never_goes_back(folder: Path) -> None:
    Runner(folder).count(5).ledger.close()
    runner = Runner(folder)
    runner.service.record("x")
    total = runner.ledger.total()
    assert total is not None
    assert total.operations[X].count == 6
    runner.ledger.close()
    closed = runner.ledger.total()
    assert closed is not None
    assert closed.operations[X].count == 6, "what was added to the total was counted again"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"version": 2}',
        encode(Account(since=NOW, operations={X: OperationStats(count=1, errors=2)})),
        encode(Account(since=NOW, operations={X: OperationStats(count=1, buckets=(1,))})),
        encode(Account(since=NOW, operations={X: OperationStats(count=-1)})),
        encode(Account(since=NOW, operations={X: OperationStats(count=1, seconds=float("nan"))})),
        encode(
            Account(
                since=NOW, operations={X: OperationStats(count=9, buckets=(2, 1, *(9 for _ in DURATION_BUCKETS[1:])))}
            )
        ),
        encode(Account(since=NOW.replace(tzinfo=None))),
        encode(Account(since=NOW)).replace(b'"bounds": [0.001', b'"bounds": [0.006'),
    ],
)
@pytest.mark.parametrize("which", ["total", "runner"])
def test_a_damaged_file_is_reported_and_skipped(folder: Path, damage: bytes, which: str) -> None:
    Runner(folder).count(1).ledger.close()
    dead = Runner(folder).count(10)
    dead.die()
    path = folder / "total.json" if which == "total" else dead.ledger._file
    path.write_bytes(damage)
    left = 10 if which == "total" else 1
    total = read_total(folder)
    assert [problem for problem in total.problems if str(path) in problem] == list(total.problems)
    assert len(total.problems) == 1
    assert total.snapshot.operations[X].count == left
    Runner(folder).count(100).ledger.close()
    assert counted(folder) == left + 100
    assert (folder / f"damaged-{which}.json").read_bytes() == damage
    assert files(folder) == {"lock", "total.json", f"damaged-{which}.json"}
    assert read_total(folder).problems == ()


def test_a_file_that_is_no_file_is_reported(folder: Path) -> None:
    Runner(folder).count(1).ledger.close()
    (folder / "total.json").unlink()
    os.mkfifo(folder / "runner-0123456789abcdef.json")
    (folder / "total.json").mkdir()
    problems = read_total(folder).problems
    assert len(problems) == 2
    assert "Is a directory" in problems[0]


def test_names_that_have_no_end_do_not_fill_the_total(folder: Path) -> None:
    for runner in range(3):
        one = Runner(folder)
        for number in range(MAX_SERIES):
            one.service.record(f"junk-{runner}-{number}")
        one.ledger.close()
    operations = read_total(folder).snapshot.operations
    assert len(operations) == MAX_SERIES + 1
    assert sum(stats.count for stats in operations.values()) == 3 * MAX_SERIES


def test_a_folder_that_somebody_else_is_busy_with_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(total, "LOCK_TIMEOUT", 0.05)
    runner = Runner(folder).count(1)
    with locked(folder / "lock", timeout=1):
        with pytest.raises(
            MetricsError, match=r"metrics folder .*: somebody else has been busy with it for 0\.05 seconds"
        ):
            read_total(folder)
        runner.ledger.close()
    assert counted(folder) == 1
    assert len(files(folder)) == 3, "what was left is there for the next one"
    Runner(folder).count(1).ledger.close()
    assert counted(folder) == 2


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir(mode=0o700)
    (tmp_path / "metrics" / "lock").mkdir()
    with pytest.raises(MetricsError, match=f"metrics folder {tmp_path}/metrics: "):
        read_total(tmp_path / "metrics")


def test_many_runners_at_once_lose_nothing(folder: Path) -> None:
    stop, seen = threading.Event(), [0]

    def live(seed: int) -> int:
        chance, done = random.Random(seed), 0
        for _ in range(12):
            runner, times = Runner(folder), chance.randrange(1, 5)
            runner.count(times)
            done += times
            runner.ledger.close() if chance.random() < 0.5 else runner.die()
        return done

    def look() -> None:
        while not stop.is_set():
            now = counted(folder)
            assert now >= seen[0], "the sum went back"
            seen[0] = now

    with ThreadPoolExecutor(5) as threads:
        looking = threads.submit(look)
        lived = sum(threads.map(live, range(4)))
        stop.set()
        looking.result()
    Runner(folder).count(1).ledger.close()
    assert counted(folder) == lived + 1
    assert files(folder) == {"lock", "total.json"}


def test_the_lock_of_a_process_goes_with_it(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from botdock.services.metrics import MetricsService\n"
        "s = MetricsService(folder=Path(sys.argv[1])); s.record('x'); s.start(); s._ledger.export(s.get_metrics())\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        with open_total(folder) as total:
            total.fold()
        assert (read_total(folder).running, counted(folder)) == (1, 1)
        process.kill()
        process.wait()
    with open_total(folder) as total:
        total.fold()
    assert (read_total(folder).running, counted(folder)) == (0, 1)
    assert files(folder) == {"lock", "total.json"}


def test_a_runner_that_is_taken_for_dead_in_the_moment_it_begins_goes_by_another_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    names = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("botdock.services.metrics.ledger.secrets.token_hex", lambda size: next(names))
    with locked(folder / f"runner-{'0' * 16}.lock", timeout=1):
        runner = Runner(folder).count(1)
    assert runner.ledger._file.stem == f"runner-{'1' * 16}"
    runner.ledger.close()
    assert files(folder) == {"lock", "total.json"}


def test_the_file_of_a_runner_is_json_that_says_when_it_began(folder: Path) -> None:
    runner = Runner(folder).count(2)
    document = json.loads(runner.ledger._file.read_bytes())
    assert document["operations"][0][:3] == ["x", [], 2]
    assert datetime.fromisoformat(document["since"]).tzinfo is not None
    runner.ledger.close()
