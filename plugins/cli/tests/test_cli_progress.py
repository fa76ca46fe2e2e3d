"""Progress bars: only for what is long, only once each, and gone at the end."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import attrs
import pytest

from botdock.model import Phase, Progress
from botdock_cli import progress as module
from botdock_cli.commands.pack import pack_folder
from botdock_cli.progress import WORTH_SHOWING, WORTH_SHOWING_AFAR, ProgressBars, bars_on_terminal, watched


class FakeBars:
    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.updates: list[tuple[int, int, int | None]] = []
        self.stopped = 0

    def add_task(self, description: str, *, total: int | None) -> int:
        assert total is None, "rich takes 100 for a total that is not given"
        self.tasks.append(description)
        return len(self.tasks) - 1

    def update(self, task: int, *, description: str, completed: int, total: int | None) -> None:
        self.tasks[task] = description
        self.updates.append((task, completed, total))

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> FakeBars:
    fake = FakeBars()
    monkeypatch.setattr(module, "_start_bars", lambda: fake)
    return fake


def pulling(current: int, total: int = 0) -> Progress:
    return Progress(phase=Phase.PULL, what="bash:5", current=current, total=total)


def test_a_step_has_one_bar_that_moves(bars: FakeBars) -> None:
    with ProgressBars() as report:
        report(pulling(0))
        report(pulling(5, 10))
    assert bars.tasks == ["pulling bash:5"]
    assert bars.updates == [(0, 0, None), (0, 5, 10)]
    assert bars.stopped == 1


def test_a_bar_says_what_is_to_be_said_of_it_now(bars: FakeBars) -> None:
    with ProgressBars() as report:
        report(attrs.evolve(pulling(0), note="another runner pulls it"))
        assert bars.tasks == ["pulling bash:5 (another runner pulls it)"]
        report(attrs.evolve(pulling(1, 2), note="1 of 3 layers"))
        assert bars.tasks == ["pulling bash:5 (1 of 3 layers)"]


def test_a_name_that_a_terminal_would_obey_is_escaped(bars: FakeBars) -> None:
    with ProgressBars() as report:
        report(Progress(phase=Phase.PULL, what="\x1b]0;title\x07\nbotdock: faked", current=1, total=2))
    assert bars.tasks == [r"pulling \x1b]0;title\x07\nbotdock: faked"]


def test_only_a_large_archive_is_worth_a_bar(bars: FakeBars) -> None:
    with ProgressBars() as report:
        report(Progress(phase=Phase.EXTRACT, what="small.zip", current=1, total=WORTH_SHOWING - 1))
        report(Progress(phase=Phase.EXTRACT, what="large.zip", current=1, total=WORTH_SHOWING))
    assert bars.tasks == ["unpacking large.zip"]


def test_a_report_that_comes_late_is_dropped(bars: FakeBars) -> None:
    with ProgressBars() as report:
        pass
    report(pulling(1))
    assert (bars.tasks, bars.stopped) == ([], 0)


def test_the_real_bars_are_drawn_on_stderr_and_taken_away(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as report:
        report(pulling(5, 10))
    assert capfd.readouterr().out == ""


def test_a_source_that_is_watched_moves_a_bar(bars: FakeBars) -> None:
    data = bytes(WORTH_SHOWING_AFAR)
    with ProgressBars(least=WORTH_SHOWING_AFAR) as shown:
        source = watched(io.BytesIO(data), shown, phase=Phase.STORE, what="a.zip", total=len(data))
        assert source.read(10) + source.read() + source.read() == data
    assert bars.tasks == ["storing a.zip"]
    assert bars.updates[0] == (0, 10, len(data))
    assert bars.updates[-1] == (0, len(data), len(data))


def test_a_source_that_nobody_watches_is_left_alone() -> None:
    source = io.BytesIO()
    assert watched(source, None, phase=Phase.FETCH, what="a.zip", total=0) is source


@pytest.mark.parametrize(
    ("terminal", "shown", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_bars_are_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: bool, expected: bool) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with bars_on_terminal(shown=shown) as found:
        assert (found is not None) is expected


def test_packing_a_large_folder_shows_a_bar(bars: FakeBars, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.py").write_bytes(bytes(WORTH_SHOWING_AFAR))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    pack_folder(str(tmp_path / "bot"), output=str(tmp_path / "bot.zip"), format=None, force=False)
    assert bars.tasks == [f"packing {tmp_path / 'bot'}"]
    assert bars.updates[-1] == (0, WORTH_SHOWING_AFAR, None)
