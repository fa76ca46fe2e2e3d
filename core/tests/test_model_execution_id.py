"""Names of executions."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from botdock.model import execution, new_execution_id
from botdock.model.execution import CONTAINER_PREFIX, EXECUTION_ID


def test_an_id_can_name_a_container_a_folder_and_a_kubernetes_object() -> None:
    identity = new_execution_id()
    assert EXECUTION_ID.fullmatch(identity)
    assert len(CONTAINER_PREFIX + identity) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", CONTAINER_PREFIX + identity)


def test_ids_are_strictly_increasing_within_a_millisecond_too() -> None:
    identities = [new_execution_id() for _ in range(2000)]
    assert identities == sorted(set(identities))


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_last", 0)
    years = [year * 365 * 86_400 * 10**9 for year in (1, 30, 56, 1000)]
    identities = []
    for now in years:
        monkeypatch.setattr("time.time_ns", lambda now=now: now)
        identities.append(new_execution_id())
    assert identities == sorted(identities)
    assert len({len(identity) for identity in identities}) == 1


def test_a_clock_that_goes_back_makes_no_id_twice_and_none_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_last", 0)
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    before = new_execution_id()
    monkeypatch.setattr("time.time_ns", lambda: 10**17)
    assert new_execution_id() > before


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        identities = list(pool.map(lambda _: new_execution_id(), range(2000)))
    assert len(set(identities)) == 2000
