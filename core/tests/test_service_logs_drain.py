"""The end of a collection: for how long it is waited for, and who is let go of before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from botdock.config import LoggingConfig
from botdock.errors import ContainerError, LogError
from botdock.model import LogChunk, LogCursor, LogSource, LogStream, Stream
from botdock.services.log_store import StoredLog
from botdock.services.logs import LogCollector
from botdock_testing.scripted_stream import ScriptedStream

PATIENCE = 0.2
SOURCE = LogSource(execution_id="01", id="bot", runtime="bash")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogCollector]:
    monkeypatch.setattr("botdock.services.logs.collection.ACTIVITY_INTERVAL", PATIENCE / 10)
    made = LogCollector(LoggingConfig(), reconnect_timeout=30.0)
    yield made
    made.close()


class SkippingStream(ScriptedStream):
    """Works its way through what is stored already, for as long as it is asked: nothing comes, and yet it goes on."""

    asked = 0

    @property
    def activity(self) -> int:
        self.asked += 1
        if self.asked == 30:  # three times as long as nothing may come
            self.put(LogChunk(Stream.STDOUT, b"the rest", 1))
            self.end()
        return self.asked


def test_an_engine_that_is_at_work_is_waited_for_however_long_it_takes(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(SkippingStream(is_open=True), tmp_path, source=SOURCE, limit=None)
    assert collector.wait_drained("01", PATIENCE)
    assert collector.stop_collection("01").complete
    assert StoredLog(tmp_path).tail(100) == "the rest"


def test_a_stream_that_is_being_opened_again_is_waited_for(collector: LogCollector, tmp_path: Path) -> None:
    back = threading.Event()
    timer = threading.Timer(3 * PATIENCE, back.set)

    def reopen(_cursor: LogCursor) -> LogStream:
        if not back.is_set():
            raise ContainerError("still away")
        return ScriptedStream(LogChunk(Stream.STDOUT, b"the rest", 1))

    stream = ScriptedStream(ContainerError("cut"))
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None, reopen=reopen)
    timer.start()
    assert collector.wait_drained("01", PATIENCE)
    timer.join()
    assert collector.stop_collection("01").complete


def test_an_engine_that_hangs_is_not_waited_for(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(is_open=True), tmp_path, source=SOURCE, limit=None)
    assert not collector.wait_drained("01", PATIENCE)
    assert not collector.wait_drained("01", 0.0)
    assert not collector.stop_collection("01").complete


def test_a_stream_that_is_read_no_longer_is_closed_at_once(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise LogError("cannot write the log: No space left on device")

    monkeypatch.setattr("botdock.services.logs.collector.LogWriter.append", full)
    stream = ScriptedStream(LogChunk(Stream.STDOUT, b"x", 1), is_open=True)
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    assert stream.closed.wait(10), "an engine may hold up the bot for a reader that does not read"


class SkippedReads(ScriptedStream):
    """Brings nothing for thousands of reads, all of which go through what is stored already."""

    @property
    def activity(self) -> int:
        return self.reads


@pytest.mark.parametrize("has_fileno", [True, False])
def test_reads_that_skip_what_is_stored_follow_each_other_without_a_pause(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_fileno: bool
) -> None:
    for pause in ("REST", "POLL_INTERVAL", "LAZY_INTERVAL"):
        monkeypatch.setattr(f"botdock.services.logs.loop.{pause}", 30.0)
    skipped: list[list[LogChunk]] = [[] for _ in range(3000)]
    stream = SkippedReads(*skipped, LogChunk(Stream.STDOUT, b"the rest", 1), has_fileno=has_fileno)
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    assert collector.wait_drained("01", 10)
    assert StoredLog(tmp_path).tail(100) == "the rest"


@pytest.mark.parametrize("has_fileno", [True, False])
def test_what_is_left_once_a_bot_has_ended_is_read_without_a_rest(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_fileno: bool
) -> None:
    monkeypatch.setattr("botdock.services.logs.loop.REST", 3600.0)
    if not has_fileno:
        monkeypatch.setattr("botdock.services.logs.loop.POLL_INTERVAL", 3600.0)
    stream = ScriptedStream(LogChunk(Stream.STDOUT, b"x", 1), is_open=True, has_fileno=has_fileno)
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    assert collector.wait_progress("01", 0, 60) == (1, False)
    for piece in (b"y", b"z"):
        stream.put(LogChunk(Stream.STDOUT, piece, 2))
    stream.end()
    assert collector.wait_drained("01", 60)
    assert StoredLog(tmp_path).tail(100) == "xyz"
