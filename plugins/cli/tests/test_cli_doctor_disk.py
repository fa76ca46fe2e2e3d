"""What `botdock doctor` says of the disks, before one is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.config import Config
from botdock_cli.check_machine import check_state


@pytest.fixture
def config(own_home: Path) -> Config:
    return Config(home=str(own_home))


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        ({}, {"state": "ok"}),
        ({"f_files": 0, "f_favail": 0}, {"state": "ok"}),
        ({"f_favail": 99_999}, {"state": "ok", "state.files": "warning"}),
        ({"f_bavail": 270_000}, {"state": "warning"}),
        ({"f_bavail": 9}, {"state": "warning", "temporary": "warning"}),
    ],
)
def test_scarce_space_is_a_warning_before_it_is_used_up(
    config: Config, monkeypatch: pytest.MonkeyPatch, room: dict[str, int], expected: dict[str, str]
) -> None:
    found = {"f_bavail": 10**9, "f_frsize": 4096, "f_files": 10**6, "f_favail": 10**6, **room}
    monkeypatch.setattr("botdock_cli.check_machine.os.statvfs", lambda path: SimpleNamespace(**found))
    assert {check.name: check.status.value for check in check_state(config)} == expected


def test_what_runs_may_still_be_written_and_counts(config: Config, logged: Callable[..., Any]) -> None:
    before = next(iter(check_state(config))).detail
    logged().lives()
    assert "; 0 under way and one more may write 1.078 GiB" in before
    assert "; 1 under way and one more may write 1.156 GiB" in next(iter(check_state(config))).detail
