"""What of a run goes to the storage: each part once, over failures, retention, compression and takeovers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.errors import StorageError
from botdock.model import ExecutionResult, LogChunk, LogSummary, Outcome, Stream
from botdock.services.log_store import LogWriter
from botdock.services.log_store.layout import compress_segment
from botdock.services.storing import Storing
from botdock_testing.fake_services import FakeStorage

SEGMENTS = 4
NAMES = {f"{name}.{number}" for name in ("stdout", "stderr", "index") for number in range(SEGMENTS)}
ALL = NAMES | {f"segment.{number}.json" for number in range(SEGMENTS)} | {"end.json"}


class Log:
    """A log of four segments, of which the last may still be open; and who stores it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = FakeStorage()
        self.writer = LogWriter(folder / "logs", segment_bytes=10)
        for number in range(SEGMENTS):
            self.writer.append(LogChunk(Stream.STDOUT, b"%09d\n" % number if number < SEGMENTS - 1 else b"rest"))
        self.writer.seal_closed()

    def storing(self) -> Storing:
        storing = Storing(
            self.storage, execution_id="01", id="bot", logs=self.folder / "logs", marker=self.folder / "stored.json"
        )
        marker = self.folder / "stored.json"
        storing.restore(json.loads(marker.read_text()) if marker.exists() else None)
        return storing

    def conclude(self, storing: Storing, **fields: Any) -> list[str]:
        result = ExecutionResult(
            execution_id="01", id="bot", log=self.writer.finish(complete=True), result_file_contents=b"1", **fields
        )
        return storing.conclude(result)

    @property
    def stored(self) -> dict[str, bytes]:
        return {key.removeprefix("logs/bot/01/"): data for key, data in self.storage.objects.items()}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def logs_of(stored: dict[str, bytes]) -> set[str]:
    return {name for name in stored if "/" not in name}


def test_all_of_a_log_is_stored_under_the_names_it_has_on_disk(log: Log) -> None:
    storing = log.storing()
    for number in range(SEGMENTS - 1):
        storing.segment(number)
    assert logs_of(log.stored) == {name for name in ALL - {"end.json"} if f".{SEGMENTS - 1}" not in name}
    assert log.conclude(storing) == []
    assert logs_of(log.stored) == ALL
    for name in ALL:
        assert log.stored[name] == (log.folder / "logs" / name).read_bytes()
    assert log.stored["executions/01/result.json"] == b"1"


def test_nothing_is_stored_twice_by_the_same_or_by_a_successor(log: Log) -> None:
    storing = log.storing()
    storing.segment(0)
    storing.segment(1)
    log.storage.objects.clear()
    storing.segment(0)
    log.storing().segment(1)
    assert log.storage.objects == {}
    assert log.conclude(log.storing()) == []
    assert not {name for name in log.stored if name.endswith((".0", ".1", ".0.json", ".1.json"))}
    log.storage.objects.clear()
    assert log.conclude(log.storing()) == []
    assert log.storage.objects == {}


@pytest.mark.parametrize("successor", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_what_failed_is_tried_again_at_the_end(log: Log, *, successor: bool, compressed: bool) -> None:
    storing = log.storing()
    log.storage.error = StorageError("away")
    for number in (0, 1):
        with pytest.raises(StorageError):
            storing.segment(number)
    content = (log.folder / "logs/stdout.0").read_bytes()
    if compressed:
        compress_segment(log.folder / "logs", 0)
    log.storage.error = None
    assert log.conclude(log.storing() if successor else storing) == []
    assert logs_of(log.stored) == ALL
    assert log.stored["stdout.0"] == content


def test_a_successor_that_is_offered_a_segment_again_stores_what_failed(log: Log) -> None:
    log.storage.error = StorageError("away")
    with pytest.raises(StorageError):
        log.storing().segment(0)
    log.storage.error = None
    log.storing().segment(0)
    assert "stdout.0" in log.stored


def test_what_cannot_be_stored_is_said(log: Log) -> None:
    log.storage.error = StorageError("away")
    problems = log.conclude(log.storing(), entrypoint="backtest", outcome=Outcome.SUCCEEDED)
    assert len(problems) == len(ALL) + 2
    assert all("away" in problem for problem in problems)
    assert {problem.partition(":")[0] for problem in problems} == ALL | {"result", "analysis"}


def test_what_retention_removed_before_it_was_stored_is_counted(log: Log) -> None:
    storing = log.storing()
    storing.segment(0)
    log.storage.error = StorageError("away")
    with pytest.raises(StorageError):
        storing.segment(1)
    log.storage.error = None
    for _ in range(3):
        assert log.writer.remove_oldest()
    (problem,) = log.conclude(log.storing())
    assert "2 segments were removed" in problem
    assert "stdout.3" in log.stored


def test_a_bot_without_a_log_stores_its_value_alone(tmp_path: Path) -> None:
    storage = FakeStorage()
    storing = Storing(storage, execution_id="01", id="bot", logs=tmp_path / "logs", marker=tmp_path / "stored.json")
    assert storing.conclude(ExecutionResult(execution_id="01", id="bot", log=LogSummary())) == []
    assert set(storage.objects) == {"executions/01/result.json"}


@pytest.mark.parametrize("marked", [{}, {"next": "x"}, {"next": 1}, {"next": 1, "dropped": 0, "failed": 3}])
def test_a_damaged_note_loses_nothing(log: Log, marked: dict[str, Any]) -> None:
    storing = Storing(
        log.storage, execution_id="01", id="bot", logs=log.folder / "logs", marker=log.folder / "stored.json"
    )
    storing.restore(marked)
    assert log.conclude(storing) == []
    assert logs_of(log.stored) == ALL


def test_with_a_whole_run(make_stage: Callable[..., Any], make_bot: Callable[..., Any]) -> None:
    stage = make_stage()
    result = stage.orchestrator.execute_bot(make_bot(persist_results=True))
    assert {key.rpartition("/")[2] for key in stage.storage.objects} == {
        "result.json",
        "stdout.0",
        "stderr.0",
        "index.0",
        "segment.0.json",
        "end.json",
    }
    assert "not_stored" not in result.evidence


def test_a_successor_with_another_storage_says_that_nothing_was_stored(
    make_stage: Callable[..., Any], begun: Any
) -> None:
    stage, before, _ = begun(persist_results=True)
    stage.storage.objects.clear()
    config = attrs.evolve(stage.orchestrator._setting.config, storage="elsewhere")
    second = make_stage(stage.engine.successor(), storage=stage.storage, config=config)
    (execution,) = second.orchestrator.recover()
    stage.engine.finish(before.container_id)
    result = execution.wait(20)
    assert result.evidence["not_stored"] == ["it was to be kept in storage local-fs, and this runner has elsewhere"]
    assert stage.storage.objects == {}
