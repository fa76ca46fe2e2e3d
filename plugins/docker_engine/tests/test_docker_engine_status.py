"""What the daemon says of a container, read whatever it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import ContainerState
from botdock_engine_docker.containers import read_info, read_status, read_time

CREATED_AT = "2026-01-02T03:04:05.123456789Z"


def inspected(status: str = "exited", **state: Any) -> dict[str, Any]:
    zero = "0001-01-01T00:00:00Z"
    return {
        "Id": "c1",
        "State": {"Status": status, "ExitCode": 0, "StartedAt": zero, "FinishedAt": zero, "Error": "", **state},
        "Mounts": [],
    }


class TestStatus:
    def test_times_are_in_utc(self) -> None:
        assert read_time(CREATED_AT) == datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
        assert read_time("2026-01-02T05:04:05+02:00") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert read_time("0001-01-01T00:00:00Z") is None
        assert read_time("") is None

    @pytest.mark.parametrize(
        ("word", "state", "code"),
        [
            ("created", ContainerState.CREATED, None),
            ("running", ContainerState.RUNNING, None),
            ("paused", ContainerState.RUNNING, None),
            ("exited", ContainerState.EXITED, 9),
            ("dead", ContainerState.EXITED, 9),
            ("removing", ContainerState.UNKNOWN, None),
        ],
    )
    def test_an_exit_code_is_known_after_the_end(self, word: str, state: ContainerState, code: int | None) -> None:
        status = read_status(inspected(word, ExitCode=9, Error="why"))
        assert (status.state, status.exit_code, status.error) == (state, code, "why")

    @settings(deadline=None)
    @given(st.integers(0, 255), st.booleans())
    def test_no_exit_code_is_interpreted(self, code: int, oom: bool) -> None:
        status = read_status(inspected(ExitCode=code, OOMKilled=oom))
        assert (status.exit_code, status.signal, status.oom_killed) == (code, None, oom)

    def test_a_life_that_seems_to_end_before_it_begins_has_no_length(self) -> None:
        later = "2026-01-02T03:04:05.2Z"
        status = read_status(inspected(StartedAt=later, FinishedAt="2026-01-02T03:04:05.1Z"))
        assert status.started_at == status.finished_at == datetime(2026, 1, 2, 3, 4, 5, 100_000, UTC)
        assert read_status(inspected("running", StartedAt=later)).finished_at is None

    def test_a_line_of_a_listing_may_lack_all_but_its_id(self) -> None:
        info = read_info({"Id": "c1", "Names": None, "Labels": None})
        assert (info.name, info.labels, info.state, info.created_at) == ("", {}, ContainerState.UNKNOWN, None)
        assert read_info({"Id": "c1", "Created": 0}).created_at is None
        created_at = read_info({"Id": "c1", "Created": 1_700_000_000}).created_at
        assert created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
