"""When an execution has taken too long: its wall time, the time to its first output, and that without any."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from botdock.errors import LogError
from botdock.model import ContainerState, ContainerStatus, Executable, Outcome
from botdock.model import execution as execution_ids
from botdock.orchestrator import deadlines as module
from botdock.orchestrator.deadlines import Deadlines, Timeout, elapsed_of
from botdock.orchestrator.plan import Bounds
from botdock.services.logs import CollectionStatus
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script

EPOCH = 1_700_000_000.0
DAY = 24 * 3600.0
SILENT = CollectionStatus(bytes=0, ended=False, error="", resumed=0, gaps=0)


class Clock:
    """A monotonic clock and a wall clock, which is `ahead` of where it began."""

    def __init__(self) -> None:
        self.now = 500.0
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return EPOCH + self.now + self.ahead


@attrs.define
class Bot:
    """What deadlines know of a bot that was started just now."""

    clock: Clock
    deadlines: Deadlines
    log: CollectionStatus | None = SILENT

    def writes(self) -> None:
        self.log = attrs.evolve(self.log or SILENT, last_output=self.clock.now)

    def passed_after(self, seconds: float, *, hears: bool = True) -> Timeout | None:
        self.clock.now += seconds
        return self.deadlines.left(hears=hears)[1]


@pytest.fixture(autouse=True)
def ids_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a clock that a test sets forward not make the ids of all later tests later."""
    monkeypatch.setattr(execution_ids, "_last", 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def started(clock: Clock) -> Callable[..., Bot]:
    def start(*, stored_before: float | None = None, set_forward: float = 0.0, **bounds: Any) -> Bot:
        def status() -> CollectionStatus:
            if bot.log is None:
                raise LogError("it is over")
            return bot.log

        bot = Bot(clock, Deadlines(status))
        began, wall_began = clock.now, clock.time()
        if stored_before is not None:
            bot.log = attrs.evolve(SILENT, stored_before_ns=int((clock.time() + stored_before) * 1e9))
            clock.now += 100.0
            clock.ahead += set_forward
        bot.deadlines.begin(Bounds(**bounds), began, wall_started=wall_began)
        return bot

    return start


def test_without_bounds_there_is_no_deadline(started: Callable[..., Bot]) -> None:
    bot = started()
    assert bot.passed_after(DAY) is None
    assert math.isinf(bot.deadlines.left(hears=True)[0])


def test_its_wall_time_is_over_once_whatever_it_writes(started: Callable[..., Bot]) -> None:
    bot = started(timeout=30.0, silence_timeout=60.0)
    assert bot.passed_after(29.0) is None
    bot.writes()
    assert bot.deadlines.left(hears=True)[0] == 1.0
    assert bot.passed_after(1.0, hears=False) is Timeout.WALL
    assert bot.passed_after(100.0) is None, "it is told once"
    assert math.isinf(bot.deadlines.left(hears=True)[0])


def test_a_bot_that_is_never_ready_has_its_start_timeout(started: Callable[..., Bot]) -> None:
    bot = started(start_timeout=30.0, silence_timeout=5.0)
    assert bot.passed_after(29.0) is None, "until its first output its silence has no other bound"
    assert bot.passed_after(1.0) is Timeout.START


def test_silence_counts_from_the_last_output_and_from_the_start_before_the_first(started: Callable[..., Bot]) -> None:
    bot = started(silence_timeout=5.0)
    assert bot.passed_after(4.0) is None
    bot.writes()
    assert bot.passed_after(4.0) is None
    assert bot.deadlines.left(hears=True)[0] == 1.0
    bot.writes()
    assert bot.passed_after(5.0) is Timeout.SILENCE
    assert started(silence_timeout=5.0).passed_after(5.0) is Timeout.SILENCE


def test_a_start_timeout_alone_lets_it_be_silent_afterwards(started: Callable[..., Bot]) -> None:
    bot = started(start_timeout=5.0)
    bot.writes()
    assert bot.passed_after(DAY) is None


def test_the_deadline_that_passed_first_is_the_reason(started: Callable[..., Bot]) -> None:
    assert started(timeout=30.0, silence_timeout=5.0).passed_after(60.0) is Timeout.SILENCE


def test_silence_is_not_the_bots_while_its_log_is_not_read_or_its_engine_does_not_answer(
    started: Callable[..., Bot],
) -> None:
    bot = started(silence_timeout=5.0)
    bot.log = attrs.evolve(SILENT, read_since=None)
    assert bot.passed_after(60.0) is None
    assert bot.deadlines.left(hears=True)[0] == module.AWAY_PAUSE
    bot.log = attrs.evolve(SILENT, read_since=bot.clock.now)
    assert bot.passed_after(module.SETTLED - 0.5) is None, "what it wrote meanwhile may be about to come"
    assert bot.passed_after(0.5) is Timeout.SILENCE

    bot = started(silence_timeout=5.0)
    assert bot.passed_after(60.0, hears=False) is None
    assert math.isinf(bot.deadlines.left(hears=False)[0]), "nothing is looked for again and again meanwhile"
    bot.deadlines.engine_is_back()
    assert bot.passed_after(4.0) is None
    assert bot.passed_after(1.0) is Timeout.SILENCE


def test_what_is_over_has_no_deadline(started: Callable[..., Bot]) -> None:
    bot = started(silence_timeout=5.0)
    bot.log = None
    assert bot.passed_after(60.0) is None


@pytest.mark.parametrize("set_forward", [0.0, DAY, -DAY])
def test_the_silence_before_a_change_of_runner_counts_however_the_clock_is_set(
    started: Callable[..., Bot], set_forward: float
) -> None:
    bot = started(silence_timeout=95.0, stored_before=20.0, set_forward=set_forward)  # 80 s ago
    assert bot.passed_after(14.0) is None
    assert bot.passed_after(1.0) is Timeout.SILENCE


def test_an_output_whose_time_cannot_be_is_taken_to_be_new(started: Callable[..., Bot]) -> None:
    bot = started(silence_timeout=95.0, start_timeout=1.0, stored_before=-DAY)
    assert bot.passed_after(94.0) is None
    assert bot.passed_after(1.0) is Timeout.SILENCE


@pytest.mark.parametrize(
    ("output", "which", "said"),
    [
        ((), "start", "wrote nothing from its start until its start timeout"),
        ((Script.out(b"up\n"),), "silence", "wrote nothing for longer than its silence timeout"),
    ],
)
def test_the_evidence_says_which_deadline_it_was(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable], output: Any, which: str, said: str
) -> None:
    stage = make_stage(FakeEngine(Script(output=output, forever=True)))
    result = stage.orchestrator.execute_bot(make_bot(start_timeout=0.3 if not output else 20, silence_timeout=0.3))
    assert (result.outcome, result.evidence["timeout"], result.error) == (Outcome.TIMED_OUT, which, said)
    assert result.evidence["bounds"]["silence_timeout"] == {"value": 0.3, "source": "caller"}
    assert stage.leftovers == []


@pytest.mark.parametrize("which", ["silence", "start"])
def test_they_go_on_over_a_change_of_runner(begun: Any, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    monkeypatch.setattr(module, "SETTLED", 0.01)
    stage, _, folder = begun(silence_timeout=1000)
    run = json.loads((folder / "run.json").read_text())
    run["bounds"][f"{which}_timeout"] = 0.01
    (folder / "run.json").write_text(json.dumps(run))
    (execution,) = stage.successor().orchestrator.recover()
    if which == "start":
        assert execution.wait(0.1) is None, execution.result
        execution.kill()
        return
    result = execution.wait(20)
    assert (result.outcome, result.evidence["timeout"]) == (Outcome.TIMED_OUT, "silence")


def test_the_reason_outlives_the_runner_that_had_begun_to_end_it(begun: Any) -> None:
    stage, _, folder = begun(silence_timeout=1000)
    with (folder / "events.jsonl").open("a") as events:
        events.write(json.dumps({"event": "ending", "why": "timed_out", "failure": "", "timeout": "silence"}) + "\n")
    (execution,) = stage.successor().orchestrator.recover()
    result = execution.wait(20)
    assert (result.outcome, result.evidence["timeout"]) == (Outcome.TIMED_OUT, "silence")


@pytest.mark.parametrize("set_by", [DAY, -DAY])
def test_a_clock_that_is_set_over_a_change_of_runner_neither_kills_nor_lengthens(
    begun: Any, monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    stage, before, _ = begun(timeout=3000, silence_timeout=2000)
    real, real_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() + set_by)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + round(set_by * 1e9))
    (execution,) = stage.successor().orchestrator.recover()
    assert 1000 < execution._deadlines.left(hears=True)[0] <= 2000
    assert execution._deadlines._started <= time.monotonic()
    stage.engine.finish(before.container_id)
    result = execution.wait(20)
    assert (result.outcome, 0 <= result.duration < 1000) == (Outcome.SUCCEEDED, True)


def test_after_another_boot_the_wall_clock_counts_and_no_less_than_since_the_boot() -> None:
    run: Any = SimpleNamespace(started={"boot": "another", "monotonic_ns": 5})
    status = ContainerStatus(container_id="c", state=ContainerState.RUNNING)
    run.started_ns = time.time_ns() - round(200 * DAY * 1e9)
    assert elapsed_of(run, status) == pytest.approx(max(200 * DAY, time.monotonic()), abs=60)
    run.started_ns = time.time_ns() + round(DAY * 1e9)
    assert elapsed_of(run, status) == pytest.approx(time.monotonic(), abs=60)
    run.started = None
    assert elapsed_of(run, status) == 0.0, "an earlier botdock did not write it down"


@pytest.mark.parametrize("set_by", [DAY, -DAY])
def test_a_clock_that_is_set_meanwhile_does_not_change_how_long_it_ran(
    make_stage: Callable[..., Any], make_bot: Callable[..., Executable], monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    stage, now = make_stage(), datetime.now(UTC)
    ended = ContainerStatus(
        container_id="c",
        state=ContainerState.EXITED,
        exit_code=0,
        started_at=now,
        finished_at=now + timedelta(seconds=set_by),
    )
    monkeypatch.setattr(stage.engine, "wait", lambda *_args, **_options: ended)
    assert 0 <= stage.orchestrator.execute_bot(make_bot()).duration < 1000
