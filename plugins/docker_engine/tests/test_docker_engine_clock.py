"""A daemon on another machine has another clock, and the times of a log are the daemon's."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.errors import ContainerError
from botdock.model import ContainerHandle, LogStream
from botdock_engine_docker import streams
from botdock_engine_docker.engine import DockerEngine

CALL = 20.0
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
HELLO = b"\x01\x00\x00\x00\x00\x00\x00\x06hello\n"


@pytest.mark.parametrize("behind", [timedelta(hours=1), timedelta(hours=-1)])
@pytest.mark.parametrize(("before", "whole"), [(60.0, True), (-1.0, False)])
def test_a_log_that_was_cut_is_told_from_a_whole_one_by_the_daemons_clock(
    fake_docker: Any,
    make_engine: Callable[..., DockerEngine],
    behind: timedelta,
    before: float,
    whole: bool,
) -> None:
    theirs = datetime.now(UTC) - behind
    state = {"Status": "exited", "ExitCode": 0, "FinishedAt": f"{theirs - timedelta(seconds=before)}"}
    fake_docker.says("GET", "/info", {"SystemTime": theirs.isoformat()})
    fake_docker.on("POST", "/attach", UPGRADED + HELLO)
    fake_docker.says("POST", "/wait", {"StatusCode": 0})
    fake_docker.says("GET", "/containers/c1/json", {"Id": "c1", "State": state})
    with make_engine(fake_docker.url, shared_disk=False).attach(ContainerHandle(id="c1"), timeout=CALL) as stream:
        chunks = list(stream.read(CALL))
        assert abs(chunks[0].time_ns / 1e9 - (time.time() - behind.total_seconds())) < 60
        with nullcontext() if whole else pytest.raises(ContainerError, match="the container went on"):
            drain(stream)
        assert stream.ended == whole


def test_a_daemon_of_this_machine_is_not_asked_for_its_time(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED)
    engine.attach(ContainerHandle(id="c1"), timeout=CALL).close()
    assert "/info" not in fake_docker.targets("GET")


def test_a_clock_that_is_set_back_after_a_cut_makes_no_whole_log_of_it(
    fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_ended = datetime.now(UTC)

    def now() -> float:
        was_set = any("/wait" in target for target in fake_docker.targets("POST"))
        return (log_ended - timedelta(hours=was_set)).timestamp()

    monkeypatch.setattr(
        streams, "time", SimpleNamespace(time=now, time_ns=lambda: round(now() * 1e9), monotonic=lambda: 0.0)
    )
    finished = log_ended - timedelta(hours=1) + timedelta(seconds=1)
    state = {"Status": "exited", "ExitCode": 0, "FinishedAt": f"{finished}"}
    fake_docker.on("POST", "/attach", UPGRADED + HELLO)
    fake_docker.says("POST", "/wait", {"StatusCode": 0})
    fake_docker.says("GET", "/containers/c1/json", {"Id": "c1", "State": state})
    attached = engine.attach(ContainerHandle(id="c1"), timeout=CALL)
    with attached as stream, pytest.raises(ContainerError, match="the container went on"):
        drain(stream)


def drain(stream: LogStream) -> None:
    while not stream.ended:
        stream.read(CALL)
