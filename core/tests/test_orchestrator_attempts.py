"""Which attempt ended an execution, where its runner died over it."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botdock.model import ContainerState, ContainerStatus, Outcome
from botdock.orchestrator.attempts import ENDING, Attempts

WRITTEN = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MOMENT = timedelta(milliseconds=2)


def reason(finished_at: datetime | None, *, exit_code: int = 0, **event: Any) -> Outcome | None:
    """Return why an execution ended, of whose stop a runner wrote at `WRITTEN`, and died."""
    attempts = Attempts(lambda *_, **__: None)
    entry = {"event": ENDING, "why": "stopped", "failure": "", "time_ns": int(WRITTEN.timestamp() * 1e9)}
    attempts.restore([entry | event])
    status = ContainerStatus(
        container_id="c", state=ContainerState.EXITED, exit_code=exit_code, finished_at=finished_at
    )
    return attempts.reason(status).why


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
