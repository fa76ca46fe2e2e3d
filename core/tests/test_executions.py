"""What there is and was in a state folder, read from any process, whatever the index says."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.errors import UserError
from botdock.executions import Executions, ExecutionState
from botdock.executions._files import owner_of
from botdock.executions._index import NAME
from botdock.executions._lease import Lease, hold
from botdock.executions._stops import Doorbell, read_stop
from botdock.model import LogChunk, Outcome, Stream, new_execution_id
from botdock.model.execution import first_id_at, time_of
from botdock.services.log_store import LogWriter

Make = Callable[..., Path]


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    held = Lease(tmp_path)
    yield held
    held.give_up()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make the folder of an execution, as a runner does."""

    def make(bot: str = "sma", *, outcome: str | None = None, run: dict[str, Any] | None = None, **facts: Any) -> Path:
        execution_id = new_execution_id()
        directory = tmp_path / "executions" / execution_id
        directory.mkdir(parents=True)
        request = {"id": bot, "execution_id": execution_id, "engine": "process", "entrypoint": "bot"}
        (directory / "request.json").write_text(json.dumps(request))
        if run is not None:
            (directory / "run.json").write_text(json.dumps(run))
        if outcome is not None:
            end(directory, outcome, **facts)
        return directory

    return make


def end(directory: Path, outcome: str, **facts: Any) -> None:
    document = {"execution_id": directory.name, "id": "sma", "engine": "process", "outcome": outcome, **facts}
    (directory / "outcome.json").write_text(json.dumps(document))


def ids(records: Any) -> list[str]:
    return [record.execution_id for record in records]


def test_the_newest_come_first_and_a_page_goes_on_where_the_last_one_ended(tmp_path: Path, make: Make) -> None:
    made = [make(outcome="succeeded").name for _ in range(5)]
    executions = Executions(tmp_path)
    first = executions.list(limit=2)
    assert ids(first) == made[:2:-1]
    assert ids(executions.list(limit=9, before=first[-1].execution_id)) == made[2::-1]


def test_executions_are_picked_by_what_they_are(tmp_path: Path, make: Make, lease: Lease) -> None:
    failed = make("a", outcome="failed", id="a", runtime="bash").name
    running = make("b", run={"runtime": "nodejs20", "started_at": "2026-01-01T00:00:00+00:00", "container_id": "c1"})
    hold(running, lease.hold())
    executions = Executions(tmp_path)
    assert ids(executions.list(bot="a")) == ids(executions.list(outcome=Outcome.FAILED)) == [failed]
    assert ids(executions.list(runtime="bash")) == ids(executions.list(running=False)) == [failed]
    assert ids(executions.list(running=True, engine="process")) == [running.name]
    assert executions.list(engine="docker") == []
    now = datetime.now(UTC)
    assert len(executions.list(since=now - timedelta(hours=1), until=now + timedelta(hours=1))) == 2
    assert executions.list(since=now + timedelta(hours=1)) == []


@pytest.mark.parametrize("odd", [10**400, [], object(), "\udcff", -1])
def test_what_no_execution_can_be_picked_by_picks_none(tmp_path: Path, make: Make, odd: Any) -> None:
    make(outcome="failed")
    executions = Executions(tmp_path)
    assert not executions.list(bot=odd)
    assert len(executions.list(limit=10**400)) == 1
    bounds: list[dict[str, Any]] = [{"older_than": -1}, {"keep": -1}, {"max_bytes": -1}]
    for bound in bounds:
        with pytest.raises(UserError, match="negative"):
            executions.prune(**bound)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-23:00", "2026-01-01T00:00:00", "x", 10**400]
)
def test_a_damaged_time_is_listed_and_pruned_as_any_other(tmp_path: Path, make: Make, time: Any) -> None:
    make(outcome="failed", started_at=time, finished_at=time)
    executions = Executions(tmp_path)
    (record,) = executions.list()
    assert all(moment is None or moment.tzinfo for moment in (record.started_at, record.finished_at))
    assert len(executions.prune(older_than=1e9, dry_run=True)) in {0, 1}


def test_an_execution_says_where_it_stands(tmp_path: Path, make: Make, lease: Lease) -> None:
    starting, running, abandoned = make(), make(run={"started_at": "2026-01-01T00:00:00+00:00"}), make()
    for directory in (starting, running):
        hold(directory, lease.hold())
    executions = Executions(tmp_path)
    states = [executions.get(one.name).state for one in (starting, running, abandoned)]
    assert states == [ExecutionState.STARTING, ExecutionState.RUNNING, ExecutionState.ABANDONED]
    assert executions.request_stop(running.name, grace=2).state is ExecutionState.STOPPING
    end(running, "stopped", exit_code=143, finished_at="2026-01-01T00:00:02+00:00")
    record = executions.wait(running.name)
    assert (record.state, record.outcome, record.exit_code) == (ExecutionState.ENDED, Outcome.STOPPED, 143)
    assert record.to_json()["finished_at"] == "2026-01-01T00:00:02+00:00"
    assert executions.wait(starting.name, timeout=0).state is ExecutionState.STARTING


def test_every_name_of_an_execution_finds_it(tmp_path: Path, make: Make) -> None:
    make("sma", outcome="failed", id="sma")
    newest = make("sma", run={"container_id": "c0ffee"}).name
    executions = Executions(tmp_path)
    for name in (newest, f"botdock-{newest}", newest[:26], "sma", "c0ffee"):
        assert executions.get(name).execution_id == newest, name


def test_a_stop_by_a_bots_id_is_of_the_newest_that_has_not_ended(tmp_path: Path, make: Make) -> None:
    runs, ended = make(), make(outcome="failed")
    executions = Executions(tmp_path)
    assert [executions.request_stop(name).execution_id for name in ("sma", ended.name)] == [runs.name, ended.name]
    end(runs, "stopped")
    assert executions.request_stop("sma").execution_id == ended.name


@pytest.mark.parametrize(
    "name", ["0", "", "nothing", "01zzzzzzzzzzzzzzzzzzzzzzzz", "../..", "a'b", "%", "\0", "\udcff"]
)
def test_a_name_that_picks_none_is_told_with_the_way_on(tmp_path: Path, make: Make, name: str) -> None:
    with pytest.raises(UserError, match="holds none at all"):
        Executions(tmp_path).get(name)
    made = [make(outcome="failed"), make(outcome="failed")]
    with pytest.raises(UserError) as caught:
        Executions(tmp_path).get(name)
    assert made[-1].name in caught.value.message
    with pytest.raises(UserError, match="did you mean sma"):
        Executions(tmp_path).get("smaa")


@pytest.mark.parametrize("damage", ["absent", "garbage", "truncated", "another version", "unwritable", "a link"])
def test_an_index_that_is_of_no_use_is_rebuilt_from_the_folders(tmp_path: Path, make: Make, damage: str) -> None:
    made = [make(outcome="succeeded").name for _ in range(3)]
    executions = Executions(tmp_path)
    assert ids(executions.list()) == made[::-1]
    index = tmp_path / NAME
    if damage == "garbage":
        index.write_bytes(os.urandom(8192))
    elif damage == "truncated":
        index.write_bytes(index.read_bytes()[:5000])
    elif damage == "another version":
        with sqlite3.connect(index) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        index.unlink()
    if damage == "unwritable":
        index.mkdir()
    made.append(make(outcome="failed").name)
    assert ids(executions.list()) == ids(executions.list()) == made[::-1]


def test_folders_that_come_and_go_are_seen_at_once(tmp_path: Path, make: Make) -> None:
    executions = Executions(tmp_path)
    assert executions.list() == []
    made = [make(outcome="failed").name for _ in range(3)]
    assert ids(executions.list()) == made[::-1]
    executions.remove(made[1])
    assert ids(executions.list()) == [made[2], made[0]]
    assert sorted(path.name for path in (tmp_path / "executions").iterdir()) == [made[0], made[2]]


def test_several_may_look_at_once(tmp_path: Path, make: Make) -> None:
    made = [make(outcome="failed").name for _ in range(50)]
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(lambda _: ids(Executions(tmp_path).list()), range(24)))
    assert all(look == made[::-1] for look in looks)


ANY_JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50, deadline=None)
@given(document=ANY_JSON)
def test_no_document_of_an_execution_keeps_the_others_from_being_listed(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    home = tmp_path_factory.mktemp("home")
    directory = home / "executions" / new_execution_id()
    directory.mkdir(parents=True)
    fields = ("id", "outcome", "exit_code", "started_at", "runtime", "error")
    (directory / "outcome.json").write_text(json.dumps(dict.fromkeys(fields, document)))
    (directory / "request.json").write_text(json.dumps(document))
    assert ids(Executions(home).list()) == [directory.name]
    assert Executions(home).inspect(directory.name)["execution_id"] == directory.name


def test_logs_come_with_their_gaps_and_events_and_results_as_they_were_written(tmp_path: Path, make: Make) -> None:
    directory = make(outcome="succeeded")
    writer = LogWriter(directory / "logs")
    writer.append(LogChunk(Stream.STDOUT, b"one\ntwo\n", 1))
    writer.finish(complete=True)
    writer.close()
    (directory / "events.jsonl").write_text('{"event": "created"}\nhalf')
    (directory / "result.json").write_text('{"value": {"pnl": 1.5}}')
    executions = Executions(tmp_path)
    assert [line.data for line in executions.logs("sma", tail=1)] == [b"two"]  # type: ignore[union-attr] # no gap
    first, second = executions.logs("sma")
    assert [list(executions.logs("sma", after=one.position)) for one in (first, second)] == [[second], []]
    with pytest.raises(UserError, match="'0-1' is not a position in a log"):
        executions.logs("sma", after="0-1")
    assert executions.events("sma") == ({"event": "created"},)
    assert executions.result("sma") == {"pnl": 1.5}
    (directory / "result.json").write_text("{}")
    assert (executions.result("sma"), executions.result("sma", default=...)) == (None, ...)
    assert not executions.verify("sma").findings


def test_only_what_has_ended_can_be_removed(tmp_path: Path, make: Make, lease: Lease) -> None:
    running, abandoned = make(), make()
    hold(running, lease.hold())
    executions = Executions(tmp_path)
    with pytest.raises(UserError, match="has not ended: it is starting"):
        executions.remove(running.name)
    with pytest.raises(UserError, match="it is abandoned") as caught:
        executions.remove(abandoned.name)
    assert caught.value.hint == "`botdock recover` finishes it."


def test_pruning_removes_the_oldest_that_ended_and_a_dry_run_nothing(tmp_path: Path, make: Make, lease: Lease) -> None:
    old = make(outcome="failed", finished_at="2026-01-01T00:00:00+00:00").name
    made = [make(outcome="failed", finished_at=datetime.now(UTC).isoformat()).name for _ in range(3)]
    running = make()
    hold(running, lease.hold())
    (tmp_path / "executions" / made[0] / "logs").mkdir()
    (tmp_path / "executions" / made[0] / "logs" / "stdout.0").write_bytes(bytes(1_000_000))
    executions = Executions(tmp_path)
    assert ids(executions.prune(older_than=3600, dry_run=True)) == ids(executions.prune(older_than=3600)) == [old]
    assert ids(executions.prune(max_bytes=500_000)) == [made[0]]
    assert ids(executions.prune(keep=1)) == [made[1]]
    assert ids(executions.list()) == [running.name, made[2]]


def test_a_request_to_stop_rings_at_the_runner_that_holds_the_execution(
    tmp_path: Path, make: Make, lease: Lease
) -> None:
    directory = make()
    hold(directory, lease.hold())
    rung = threading.Event()
    doorbell = Doorbell(tmp_path, rung.set)
    doorbell.begin(lease.hold())
    try:
        Executions(tmp_path).request_stop(directory.name, grace=3.5)
        assert rung.wait(60)
        request = read_stop(directory)
        assert request is not None
        assert request.grace == 3.5
    finally:
        doorbell.close()
    assert sorted(path.suffix for path in (tmp_path / "runners").iterdir()) == [".lock"]


@given(moment=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is drawn
def test_the_first_id_of_a_moment_says_that_moment(moment: datetime) -> None:
    assert abs(time_of(first_id_at(moment)) - moment) <= timedelta(milliseconds=1)


def test_a_state_folder_has_an_id_of_its_own_and_an_older_one_keeps_the_one_it_had(tmp_path: Path, make: Make) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert owner_of(first, older="0" * 16) == "0" * 16, "there is no folder yet"
    for home in (first, second):
        home.mkdir()
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: owner_of(first, older="0" * 16), range(16)))
    assert ids == {owner_of(first, older="1" * 16)}
    assert ids != {owner_of(second, older="0" * 16)}
    make()
    assert owner_of(tmp_path, older="2" * 16) == owner_of(tmp_path, older="3" * 16) == "2" * 16
    assert sorted(path.name for path in first.iterdir()) == ["owner"]
