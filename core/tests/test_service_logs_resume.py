"""Streams that break: where they are continued, for how long that is tried, and what is missing afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from botdock.config import LoggingConfig
from botdock.errors import ContainerError, ContainerNotFoundError, EngineUnavailableError
from botdock.model import LogChunk, LogCursor, LogGap, LogSource, LogStream, Stream
from botdock.services.log_store import StoredLog
from botdock.services.logs import LogCollector, maintenance
from botdock_testing.scripted_stream import ScriptedStream

Reopen = Callable[[LogCursor], LogStream]


def source(name: str = "01") -> LogSource:
    return LogSource(execution_id=name, id="bot", runtime="bash")


def out(data: bytes) -> LogChunk:
    return LogChunk(Stream.STDOUT, data, 1)


class Engine:
    """Opens what it is told to, one after the other; an error is raised, and the last one for ever."""

    def __init__(self, *answers: LogStream | BaseException) -> None:
        self.answers = list(answers)
        self.cursors: list[LogCursor] = []

    def reopen(self, cursor: LogCursor) -> LogStream:
        self.cursors.append(cursor)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def operations() -> list[tuple[str, bool, int]]:
    return []


@pytest.fixture
def collector(operations: list[tuple[str, bool, int]], monkeypatch: pytest.MonkeyPatch) -> Iterator[LogCollector]:
    monkeypatch.setattr(maintenance, "FIRST_PAUSE", 0.001)
    made = LogCollector(
        LoggingConfig(), reconnect_timeout=0.1, on_operation=lambda *operation: operations.append(operation)
    )
    yield made
    made.close()


def collect(collector: LogCollector, directory: Path, stream: LogStream | None, reopen: Reopen | None) -> None:
    collector.start_collection(stream, directory, source=source(), limit=None, reopen=reopen)


def test_it_is_continued_from_what_is_stored(collector: LogCollector, tmp_path: Path) -> None:
    engine = Engine(ContainerError("still away"), ScriptedStream(out(b"rest")))
    stream = ScriptedStream(out(b"begin "), ContainerError("cut"))
    collect(collector, tmp_path, stream, engine.reopen)
    assert collector.wait_drained("01", 10)
    status = collector.get_collection_status("01")
    assert (status.resumed, status.error) == (1, "")
    summary = collector.stop_collection("01")
    assert (StoredLog(tmp_path).tail(100), summary.complete, summary.gaps) == ("begin rest", True, 0)
    assert [cursor.stdout for cursor in engine.cursors] == [6, 6]
    assert stream.closed.is_set()


def test_what_a_mask_held_back_is_read_again(collector: LogCollector, tmp_path: Path) -> None:
    engine = Engine(ScriptedStream(out(b"secret!")))
    stream = ScriptedStream(out(b"my sec"), ContainerError("cut"))
    collector.start_collection(stream, tmp_path, source=source(), limit=None, secrets=[b"secret"], reopen=engine.reopen)
    assert collector.wait_drained("01", 10)
    assert StoredLog(tmp_path).tail(100) == "my ******!"
    assert [cursor.stdout for cursor in engine.cursors] == [3]


@pytest.mark.parametrize("error", [ContainerError("gone for good"), KeyError("a plugin's mistake"), SystemExit(1)])
def test_it_is_given_up_in_time(collector: LogCollector, tmp_path: Path, error: BaseException) -> None:
    engine = Engine(error)
    begun = time.monotonic()
    collect(collector, tmp_path, ScriptedStream(out(b"begin"), ContainerError("cut")), engine.reopen)
    assert collector.wait_drained("01", 10)
    assert time.monotonic() - begun >= 0.1
    assert collector.get_collection_status("01").error
    assert not StoredLog(tmp_path).ended, "a later takeover can read on"
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.complete) == (5, False)


def test_an_engine_that_is_away_for_long_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(maintenance, "LONGEST_PAUSE", 0.002)
    away = [EngineUnavailableError("no answer")] * 100
    engine = Engine(*away, ScriptedStream(out(b"b")))
    collector = LogCollector(LoggingConfig(), reconnect_timeout=60)
    collect(collector, tmp_path, ScriptedStream(out(b"a"), ContainerError("cut")), engine.reopen)
    assert collector.wait_drained("01", 30)
    assert collector.stop_collection("01").complete
    assert len(engine.cursors) == 101
    collector.close()


def test_a_container_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    engine = Engine(ContainerNotFoundError("no such container"))
    collector = LogCollector(LoggingConfig(), reconnect_timeout=600)
    collect(collector, tmp_path, ScriptedStream(ContainerError("cut")), engine.reopen)
    assert collector.wait_drained("01", 10)
    assert len(engine.cursors) == 1
    collector.close()


def test_one_that_breaks_again_at_once_does_not_spin_and_is_given_up(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "FIRST_PAUSE", 0.02)
    cursors: list[LogCursor] = []

    def reopen(cursor: LogCursor) -> LogStream:
        cursors.append(cursor)
        return ScriptedStream(ContainerError("cut again"))

    collect(collector, tmp_path, ScriptedStream(out(b"a"), ContainerError("cut")), reopen)
    assert collector.wait_drained("01", 10)
    assert 3 <= len(cursors) <= 6
    assert collector.get_collection_status("01").error == "cut again"


def test_one_that_brings_a_byte_each_time_is_continued_for_ever(collector: LogCollector, tmp_path: Path) -> None:
    streams = [ScriptedStream(out(b"%d" % (number % 10)), ContainerError("cut")) for number in range(100)]
    engine = Engine(*streams, ScriptedStream())
    collect(collector, tmp_path, None, engine.reopen)
    assert collector.wait_drained("01", 30)
    assert collector.stop_collection("01").bytes == 100
    assert [cursor.stdout for cursor in engine.cursors] == list(range(101))


def test_without_a_way_to_open_it_what_is_stored_is_all(collector: LogCollector, tmp_path: Path) -> None:
    collect(collector, tmp_path, ScriptedStream(out(b"a"), ContainerError("cut")), None)
    assert collector.wait_drained("01", 10)
    assert not collector.stop_collection("01").complete


def test_what_is_lost_is_noted_once_before_what_follows(
    collector: LogCollector, tmp_path: Path, operations: list[tuple[str, bool, int]]
) -> None:
    known = LogGap(stream=Stream.STDOUT, size=5, since_ns=1)
    unknown = LogGap(stream=Stream.STDERR, size=None, since_ns=1, until_ns=3_000_001)
    engine = Engine(
        ScriptedStream(ContainerError("cut before the first chunk"), lost=[known]),
        ScriptedStream(out(b"d"), out(b"e"), ContainerError("cut"), lost=[known, unknown]),
        ScriptedStream(lost=[known, unknown]),
    )
    collect(collector, tmp_path, ScriptedStream(out(b"abc"), ContainerError("cut")), engine.reopen)
    assert collector.wait_drained("01", 10)
    assert collector.get_collection_status("01").gaps == 3
    summary = collector.stop_collection("01")
    shown = [entry.size if isinstance(entry, LogGap) else entry.data for entry in StoredLog(tmp_path).entries()]
    assert shown == [b"abc", 5, b"d", b"e", 5, None]
    assert [cursor.stdout for cursor in engine.cursors] == [3, 3, 10]
    assert (summary.gaps, summary.gap_bytes, summary.gap_seconds, summary.complete) == (3, 10, 0.003, True)
    assert [operation for operation in operations if operation[0] == "gap"] == [
        ("gap", False, 5),
        ("gap", False, 5),
        ("gap", False, 0),
    ]


def test_a_batch_with_a_mistake_in_it_is_read_again_as_a_whole(collector: LogCollector, tmp_path: Path) -> None:
    broken: Sequence[LogChunk] = [out(b"one"), LogChunk(Stream.STDOUT, None)]  # type: ignore[arg-type] # a plugin's mistake
    engine = Engine(ScriptedStream(out(b"onetwo")))
    collect(collector, tmp_path, ScriptedStream(broken), engine.reopen)
    assert collector.wait_drained("01", 10)
    assert (tmp_path / "stdout.0").read_bytes() == b"onetwo"


def test_a_stop_does_not_wait_for_an_engine_that_does_not_answer(collector: LogCollector, tmp_path: Path) -> None:
    asked, answer = threading.Event(), threading.Event()
    late = ScriptedStream(out(b"too late"))

    def reopen(_cursor: LogCursor) -> LogStream:
        asked.set()
        answer.wait(30)
        return late

    collect(collector, tmp_path, ScriptedStream(out(b"a"), ContainerError("cut")), reopen)
    assert asked.wait(10)
    begun = time.monotonic()
    assert collector.stop_collection("01").bytes == 1
    assert time.monotonic() - begun < 5
    answer.set()
    assert late.closed.wait(10), "a stream that comes too late is closed"
    assert (tmp_path / "stdout.0").read_bytes() == b"a"


def test_two_hundred_streams_that_break_at_once_need_a_few_threads(tmp_path: Path) -> None:
    collector = LogCollector(LoggingConfig(), reconnect_timeout=60)
    before, most = set(threading.enumerate()), 0

    def reopen(_cursor: LogCursor) -> LogStream:
        nonlocal most
        new = [thread.name for thread in threading.enumerate() if thread not in before]
        most = max(most, sum(name.startswith(("botdock-logs", "botdock-log-reopen")) for name in new))
        return ScriptedStream(out(b"b"))

    for number in range(200):
        stream = ScriptedStream(out(b"a"), ContainerError("cut"))
        collector.start_collection(
            stream, tmp_path / str(number), source=source(str(number)), limit=None, reopen=reopen
        )
    assert all(collector.wait_drained(str(number), 30) for number in range(200))
    assert {collector.stop_collection(str(number)).bytes for number in range(200)} == {2}
    assert 1 < most <= 1 + maintenance.REOPENING_THREADS
    collector.close()
