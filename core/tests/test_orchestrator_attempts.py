"""Which attempt ended an execution, where its runner died over it."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botdock.model import ContainerState, ContainerStatus, Outcome
from botdock.orchestrator.attempts import ENDING, Attempts

WRITTEN = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MOMENT = timedelta(milliseconds=2)


def reason(
    finished_at: datetime | None,
    *,
    exit_code: int = 0,
    started_at: datetime | None = None,
    before: Iterable[dict[str, Any]] = (),
    member: bool = False,
    **event: Any,
) -> Outcome | None:
    """Return why an execution ended, of whose stop a runner wrote at `WRITTEN`, and died."""
    attempts = Attempts(lambda *_, **__: None)
    entry = {"event": ENDING, "why": "stopped", "failure": "", "time_ns": nanoseconds(WRITTEN)}
    attempts.restore([*before, entry | event], member=member)
    status = ContainerStatus(
        container_id="c",
        state=ContainerState.EXITED,
        exit_code=exit_code,
        started_at=started_at,
        finished_at=finished_at,
    )
    return attempts.reason(status).why


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)


def steps(begun: datetime, done: datetime) -> list[dict[str, Any]]:
    """Return what is written down of a start."""
    return [
        {"event": "phase", "phase": "attach", "time_ns": nanoseconds(begun - MOMENT)},
        {"event": "phase", "phase": "start", "time_ns": nanoseconds(begun)},
        {"event": "phase", "phase": "wait", "time_ns": nanoseconds(done)},
        {"event": "phase", "phase": "wait", "time_ns": nanoseconds(WRITTEN)},  # of a successor
    ]


def test_what_ended_by_itself_before_its_runner_wanted_to_stop_it_was_not_stopped() -> None:
    assert reason(WRITTEN - MOMENT) is None


@pytest.mark.parametrize(
    ("finished_at", "facts"),
    [
        (WRITTEN + MOMENT, {}),
        (None, {}),
        (WRITTEN - MOMENT, {"time_ns": "damaged"}),
        (WRITTEN - MOMENT, {"exit_code": 128 + signal.SIGTERM}),  # the engine's clock is behind
    ],
)
def test_else_the_stop_counts(finished_at: datetime | None, facts: dict[str, Any]) -> None:
    assert reason(finished_at, **facts) is Outcome.STOPPED


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=3), timedelta(hours=-3), timedelta(seconds=-1)])
def test_a_far_clock_that_is_wrong_changes_nothing(offset: timedelta) -> None:
    begun = WRITTEN - timedelta(minutes=1)
    started, far = steps(begun, begun + MOMENT), begun + MOMENT + offset
    life = WRITTEN - begun
    assert reason(far + life + MOMENT, started_at=far, before=started) is Outcome.STOPPED
    assert reason(far + life - 3 * MOMENT, started_at=far, before=started) is None


@pytest.mark.parametrize("gone", ["phase", "start", "time_ns"])
def test_where_the_start_was_not_written_down_both_clocks_are_taken_for_one(gone: str) -> None:
    begun = WRITTEN - timedelta(minutes=1)
    started = [{**entry, gone: None} for entry in steps(begun, begun) if gone not in entry.values()]
    assert reason(WRITTEN - MOMENT, started_at=WRITTEN - timedelta(hours=1), before=started) is None


def test_one_that_had_waited_in_a_pool_was_started_before_it_was_told_to() -> None:
    begun = WRITTEN - timedelta(minutes=1)
    waited, before = WRITTEN - timedelta(hours=1), steps(begun, begun + MOMENT)
    assert reason(WRITTEN - MOMENT, started_at=waited, before=before, member=True) is None
