"""Finding the record of an execution by what a user remembers of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import UserError
from botdock.orchestrator.lease import Lease, hold
from botdock.orchestrator.records import execution_ids, find_container, find_execution

OLD, MIDDLE, NEW = "01jd9pz7p0aaaaaaaaaaaaaaaa", "01jd9pz7p0abbbbbbbbbbbbbbb", "01jd9qz7p0aaaaaaaaaaaaaaaa"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path, OLD, {"id": "hello"}, {"outcome": "succeeded", "container_id": "c-old"})
    write(tmp_path, MIDDLE, {"id": "hello"}, None)
    write(tmp_path, NEW, {"id": "trader"}, None)
    (tmp_path / "executions/.draft").mkdir()
    return tmp_path


def write(home: Path, execution_id: str, request: dict[str, Any], outcome: dict[str, Any] | None) -> Path:
    folder = home / "executions" / execution_id
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps(request))
    if outcome is not None:
        (folder / "outcome.json").write_text(json.dumps(outcome))
    return folder


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (OLD, OLD),
        (f"botdock-{NEW}", NEW),
        ("01jd9q", NEW),
        (OLD[:12], OLD),
        ("hello", MIDDLE),
        ("trader", NEW),
    ],
)
def test_an_execution_is_found_by_its_id_a_prefix_its_container_and_its_bot(home: Path, name: str, found: str) -> None:
    record = find_execution(home, name)
    assert record.execution_id == found
    assert record.directory == home / "executions" / found
    assert record.logs == home / "executions" / found / "logs"


def test_a_record_holds_request_and_outcome(home: Path) -> None:
    record = find_execution(home, OLD)
    assert record.request == {"id": "hello"}
    assert record.outcome == {"outcome": "succeeded", "container_id": "c-old"}
    assert find_execution(home, NEW).outcome is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("01jd9pz7p0", f"2 executions .* {OLD}, {MIDDLE}"),
        ("helo", "did you mean hello"),
        (MIDDLE[:-1] + "c", f"did you mean {MIDDLE}"),
        ("", "the newest is"),
        ("../../etc", "no execution"),
        ("*", "no execution"),
    ],
)
def test_what_is_not_there_is_said_with_what_may_have_been_meant(home: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        find_execution(home, name)
    assert caught.value.hint


def test_a_state_folder_without_executions_says_so(tmp_path: Path) -> None:
    assert execution_ids(tmp_path) == []
    with pytest.raises(UserError, match="holds none"):
        find_execution(tmp_path, "hello")


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", "[" * 100_000])
def test_a_damaged_record_is_found_by_its_id_and_hinders_no_other(home: Path, content: str) -> None:
    for name in ("request.json", "outcome.json"):
        (home / "executions" / NEW / name).write_text(content)
    record = find_execution(home, NEW)
    assert (record.request, record.outcome) == ({}, None)
    assert find_execution(home, "hello").execution_id == MIDDLE


def test_an_execution_is_found_by_the_identity_its_container_had(home: Path) -> None:
    record = find_container(home, "c-old")
    assert record is not None
    assert record.execution_id == OLD
    assert find_container(home, "c-unknown") is None


def test_it_is_alive_while_its_runner_is_and_it_has_no_outcome(home: Path) -> None:
    lease = Lease(home)
    record = find_execution(home, NEW)
    assert (record.alive(), record.orphaned()) == (False, True)
    hold(record.directory, lease.hold())
    assert (record.alive(), record.orphaned()) == (True, False)
    (record.directory / "outcome.json").write_text("{}")
    assert (record.alive(), record.orphaned()) == (False, False)
    (record.directory / "outcome.json").unlink()
    lease.give_up()
    assert (record.alive(), record.orphaned()) == (False, True)
