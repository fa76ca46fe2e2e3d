"""What the daemon says of a container, and waiting until that has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.errors import ContainerNotFoundError, EngineUnavailableError
from botdock.model import ContainerHandle, ContainerState
from botdock_engine_docker import containers
from botdock_engine_docker.containers import read_info, read_status, read_time
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.wire import Deadline

CALL = 20.0
GONE = {"message": "No such container: c1"}
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


class TestWait:
    def test_the_end_is_told(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/wait", {"StatusCode": 3})
        fake_docker.says("GET", "/containers/c1/json", inspected(ExitCode=3, OOMKilled=True))
        status = engine.wait(ContainerHandle(id="c1"), timeout=CALL)
        assert status is not None
        assert (status.exit_code, status.oom_killed, status.signal) == (3, True, None)
        assert engine.wait(ContainerHandle(id="c1"), timeout=CALL) == status
        assert len(fake_docker.targets("POST")) == 1

    def test_a_container_that_goes_on_is_none(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.on("POST", "/wait", fake_docker.STAY)
        fake_docker.says("GET", "/containers/c1/json", inspected("running"))
        assert engine.wait(ContainerHandle(id="c1"), timeout=0.1) is None
        assert engine.wait(ContainerHandle(id="c1"), timeout=0.0) is None

    def test_a_daemon_that_comes_back_in_time_is_waited_for(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.on("POST", "/wait", b"", b"", fake_docker.reply(b'{"StatusCode": 0}'))
        fake_docker.says("GET", "/containers/c1/json", inspected())
        status = engine.wait(ContainerHandle(id="c1"), timeout=CALL)
        assert status is not None
        assert len(fake_docker.targets("POST")) == 3

    def test_a_daemon_that_stays_away_is_unavailable(
        self, fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(containers, "RECONNECT", 0.2)
        fake_docker.on("POST", "/wait", b"")
        with pytest.raises(EngineUnavailableError):
            engine.wait(ContainerHandle(id="c1"), timeout=CALL)

    def test_a_container_that_was_never_started_has_not_ended(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/wait", {"StatusCode": 0})
        fake_docker.says("GET", "/containers/c1/json", inspected("created"))
        assert engine.wait(ContainerHandle(id="c1"), timeout=0.2) is None

    def test_a_container_that_is_gone_is_not_found(self, fake_docker: Any, engine: DockerEngine) -> None:
        fake_docker.says("POST", "/wait", GONE, status=404)
        with pytest.raises(ContainerNotFoundError):
            engine.wait(ContainerHandle(id="c1"), timeout=CALL)

    def test_a_daemon_that_goes_away_after_a_long_wait_has_as_much_time(
        self, fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = [0.0]
        monkeypatch.setattr(containers, "Deadline", lambda seconds: DeadlineOn(lambda: later[0], seconds))
        send = engine._client.send

        def send_late(*arguments: Any, **more: Any) -> Any:
            later[0] += 2 * containers.RECONNECT
            monkeypatch.setattr(engine._client, "send", send)
            raise EngineUnavailableError("gone", engine="docker", operation="wait")

        monkeypatch.setattr(engine._client, "send", send_late)
        fake_docker.says("POST", "/wait", {"StatusCode": 0})
        fake_docker.says("GET", "/containers/c1/json", inspected())
        assert engine.wait(ContainerHandle(id="c1"), timeout=10 * containers.RECONNECT) is not None


class DeadlineOn(Deadline):
    """A deadline on another clock."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock, self._at = clock, clock() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._at - self._clock())
