"""Runners, readers and whoever resets, at the same time on one state folder: nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

from botdock.model.metrics import MetricsSnapshot
from botdock.services import _locks, _whole_files
from botdock.services.metrics import MetricsService, files, ledger, total
from botdock.services.metrics.ledger import Ledger
from botdock.services.metrics.total import MetricsTotal, open_total, read_total, reset_total
from testbed.every_line import lines_of, met_at_every_line

SHARED = lines_of(_locks, files, ledger, total, _whole_files)
DEAD, FIRST, SECOND, NEW = 1, 10, 100, 1000
"""What a runner counted that has died, what two count that live, and one that begins: each sum tells its parts."""


def touches_the_disk(code: CodeType) -> bool:
    """Leave out what only computes."""
    return SHARED(code) and (code.co_filename != files.__file__ or code.co_name in {"replace_file", "_read"})


def count_of(snapshot: MetricsSnapshot) -> int:
    return sum(stats.count for stats in snapshot.operations.values())


class Runner:
    """A runner whose numbers are kept when it says so, without its threads."""

    def __init__(self, folder: Path, times: int) -> None:
        self.service = MetricsService()
        self.ledger = Ledger(folder, self.service._lifetime)
        self.count(times)

    def count(self, times: int) -> None:
        for _ in range(times):
            self.service.record("x")

    def export(self) -> None:
        self.ledger.export(self.service.get_metrics())


class Folder:
    """A state folder: of one runner that died, and of two that live, of which the first has more to tell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        dead = Runner(path, DEAD)
        self.first, self.second = Runner(path, FIRST), Runner(path, SECOND)
        for runner in (dead, self.first, self.second):
            runner.export()
        dead.ledger._held.close()
        self.first.count(FIRST)
        self.new: Runner | None = None
        self.reset_at: int | None = None
        self.read: list[MetricsTotal] = []

    def export(self) -> None:
        self.first.export()

    def close(self) -> None:
        self.first.ledger.close()

    def begin(self) -> None:
        self.new = Runner(self.path, NEW)
        self.new.export()

    def fold(self) -> None:
        with open_total(self.path) as found:
            found.fold()

    def look(self) -> None:
        self.read.append(read_total(self.path))

    def sum_up(self) -> None:
        found = self.second.ledger.total()
        assert found is not None
        assert count_of(found) in self.allowed()

    def reset(self) -> None:
        before = reset_total(self.path)
        assert not before.problems
        self.reset_at = count_of(before.snapshot)

    def allowed(self) -> set[int]:
        before = DEAD + FIRST + SECOND
        return {before + more + new for more in (0, FIRST) for new in ((0, NEW) if self.new else (0,))}

    def allowed_runners(self) -> set[tuple[int, int]]:
        """Return how many may have ended, and live; the dead one is not counted any more after a reset."""
        closed, begun = self.first.ledger._closed, self.new is not None
        allowed = {(1, 2), *([(2, 1)] if closed else []), *([(1, 3)] if begun else [])}
        return allowed | ({(0, 2)} if self.reset_at is not None else set())


Step = Callable[[Folder], None]
PAIRS: list[tuple[Step, Step]] = [
    (Folder.export, Folder.look),
    (Folder.look, Folder.export),
    (Folder.look, Folder.look),
    (Folder.look, Folder.close),
    (Folder.look, Folder.reset),
    (Folder.fold, Folder.fold),
    (Folder.fold, Folder.close),
    (Folder.close, Folder.fold),
    (Folder.reset, Folder.export),
    (Folder.reset, Folder.close),
    (Folder.reset, Folder.fold),
    (Folder.export, Folder.reset),
    (Folder.begin, Folder.fold),
    (Folder.begin, Folder.look),
    (Folder.fold, Folder.begin),
    (Folder.sum_up, Folder.export),
    (Folder.export, Folder.sum_up),
]


def judge(folder: Folder) -> None:
    """See that what was counted is in the sum, or was in the one that was reset, once."""
    for found in folder.read:
        assert not found.problems
        assert count_of(found.snapshot) in folder.allowed() | ({0} if folder.reset_at is not None else set())
        assert (found.ended, found.running) in folder.allowed_runners()
    everybody = [folder.first, folder.second, *([folder.new] if folder.new else [])]
    for runner in everybody:
        runner.export()
        runner.ledger.close()
    counted = DEAD + 2 * FIRST + SECOND + (NEW if folder.new else 0)
    last = read_total(folder.path)
    assert count_of(last.snapshot) + (folder.reset_at or 0) == counted
    assert not last.problems
    folder.fold()
    assert {path.name for path in folder.path.iterdir()} == {"lock", "total.json"}


@pytest.mark.parametrize(
    ("first", "second"), [pytest.param(*pair, id="-".join(step.__name__ for step in pair)) for pair in PAIRS]
)
def test_two_at_once_count_everything_once(memory: Path, first: Step, second: Step) -> None:
    for _number, folder in met_at_every_line(lambda at: Folder(memory / str(at)), first, second, touches_the_disk):
        judge(folder)


def test_what_a_living_runner_mends_is_not_put_aside(memory: Path) -> None:
    def damaged(number: int) -> Folder:
        folder = Folder(memory / str(number))
        folder.first.ledger._file.write_bytes(b"damaged")
        return folder

    def reset(folder: Folder) -> None:
        reset_total(folder.path)

    for number, folder in met_at_every_line(damaged, reset, Folder.export, touches_the_disk):
        assert not read_total(folder.path).problems, f"{number} lines had been passed"
        folder.first.ledger._file.stat()
