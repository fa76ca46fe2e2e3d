"""What becomes of closed segments: handed on, compressed, removed; and what of it may keep a bot or an end waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from botdock.config import LoggingConfig
from botdock.errors import LogError
from botdock.model import GapReason, LogChunk, LogGap, LogSource, Stream
from botdock.services.log_store import LogWriter, StoredLog, layout
from botdock.services.log_store.verify import verify
from botdock.services.logs import LogCollector, maintenance
from botdock_testing.scripted_stream import ScriptedStream
from testbed.waiting import until

SEGMENT = 4096
LINE = b"0123456789abcde\n" * 64
CONFIG = LoggingConfig(segment_bytes=SEGMENT, drain_timeout=10)


def source(name: str = "01") -> LogSource:
    return LogSource(execution_id=name, id="bot", runtime="bash")


def lines(count: int) -> list[LogChunk]:
    """Return chunks of 1 KiB: four of them fill a segment."""
    return [LogChunk(Stream.STDOUT, LINE, number + 1) for number in range(count)]


def waiting_for(event: threading.Event) -> Callable[[int], None]:
    """Return a storage that is stuck until something happens."""

    def on_segment(_number: int) -> None:
        event.wait(30)

    return on_segment


class Operations:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def __call__(self, operation: str, success: bool, size: int) -> None:
        self.seen.append((operation, success))


def test_each_closed_segment_is_handed_on_sealed_and_in_order_and_then_compressed(tmp_path: Path) -> None:
    collector = LogCollector(CONFIG)
    handed: list[tuple[int, bool, bool]] = []

    def on_segment(number: int) -> None:
        is_sealed, is_plain = (tmp_path / f"segment.{number}.json").exists(), (tmp_path / f"stdout.{number}").exists()
        handed.append((number, is_sealed, is_plain))

    stream = ScriptedStream(*lines(18))
    collector.start_collection(stream, tmp_path, source=source(), limit=None, on_segment=on_segment)
    assert collector.wait_drained("01", 10)
    until(lambda: len(handed) == 4)
    assert handed == [(number, True, True) for number in range(4)]
    until(lambda: len(list(tmp_path.glob("stdout.*.gz"))) == 4)
    assert (tmp_path / "stdout.4").exists(), "the newest is never compressed"
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.segments) == (18 * 1024, 5)
    assert b"".join(chunk.data for chunk in StoredLog(tmp_path).chunks()) == LINE * 18
    assert len(handed) == 4, "what is left at the end is for the stop"
    collector.close()


def test_an_end_waits_for_segments_but_not_for_compression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compressing, go_on = threading.Event(), threading.Event()

    def slow(_directory: Path, _number: int) -> None:
        compressing.set()
        go_on.wait(30)

    monkeypatch.setattr(maintenance, "compress_segment", slow)
    collector = LogCollector(CONFIG)
    handed: list[int] = []
    stream = ScriptedStream(*lines(40))
    collector.start_collection(stream, tmp_path, source=source(), limit=None, on_segment=handed.append)
    assert compressing.wait(10)
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").complete
    assert handed == list(range(10))
    go_on.set()
    collector.close()


def test_an_end_waits_no_longer_than_the_rest_of_a_log_may_take(tmp_path: Path) -> None:
    operations, stuck = Operations(), threading.Event()
    collector = LogCollector(LoggingConfig(segment_bytes=SEGMENT, drain_timeout=0.05), on_operation=operations)
    collector.start_collection(
        ScriptedStream(*lines(12)), tmp_path, source=source(), limit=None, on_segment=waiting_for(stuck)
    )
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").bytes == 12 * 1024
    assert ("store_segment", False) in operations.seen
    stuck.set()
    collector.close()


def test_a_segment_that_is_not_taken_is_logged_counted_and_nothing_more(tmp_path: Path) -> None:
    operations = Operations()
    collector = LogCollector(CONFIG, on_operation=operations)
    collector.start_collection(
        ScriptedStream(*lines(5)), tmp_path, source=source(), limit=None, on_segment=lambda _number: pytest.fail("no")
    )
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").complete
    assert operations.seen.count(("store_segment", False)) == 1
    collector.close()


def test_slow_segments_of_some_delay_neither_their_collection_nor_the_others(tmp_path: Path) -> None:
    collector, stuck, handed = LogCollector(CONFIG), threading.Event(), threading.Event()
    for number in range(maintenance.STORE_THREADS - 1):
        collector.start_collection(
            ScriptedStream(*lines(9)),
            tmp_path / str(number),
            source=source(str(number)),
            limit=None,
            on_segment=waiting_for(stuck),
        )
        assert collector.wait_drained(str(number), 10)
    collector.start_collection(
        ScriptedStream(*lines(9)),
        tmp_path / "other",
        source=source("other"),
        limit=None,
        on_segment=lambda _number: handed.set(),
    )
    assert handed.wait(10)
    stuck.set()
    collector.close()


def test_retention_keeps_the_newest_and_never_more_than_it_may(tmp_path: Path) -> None:
    collector = LogCollector(CONFIG)
    stream = ScriptedStream(is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None, retain=4 * SEGMENT)
    for number in range(100):
        stream.put(LogChunk(Stream.STDOUT, LINE, number + 1))
    stream.end()
    assert collector.wait_drained("01", 30)
    summary = collector.stop_collection("01")
    assert 2 * SEGMENT < summary.bytes <= 4 * SEGMENT
    assert summary.removed_bytes + summary.bytes == 100 * 1024
    (gap, *rest) = StoredLog(tmp_path).entries()
    assert isinstance(gap, LogGap)
    assert (gap.reason, gap.size) == (GapReason.REMOVED, summary.removed_bytes)
    assert sum(len(entry.data) for entry in rest if isinstance(entry, LogChunk)) == summary.bytes
    collector.close()


def test_retention_counts_the_index_of_what_came_in_single_bytes(tmp_path: Path) -> None:
    collector = LogCollector(CONFIG)
    moments = [
        [LogChunk(Stream.STDOUT, b"x", (1 + at + 500 * part) * 10**7) for at in range(500)] for part in range(20)
    ]
    stream, retain = ScriptedStream(*moments), 4 * SEGMENT
    collector.start_collection(stream, tmp_path, source=source(), limit=None, retain=retain)
    assert collector.wait_drained("01", 30)
    summary = collector.stop_collection("01")
    collector.close()
    assert summary.removed_bytes + summary.bytes == 10_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1.25 * retain + 32 * 1024


def test_retention_does_not_wait_for_compression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compressing, go_on = threading.Event(), threading.Event()

    def slow(source: BinaryIO, target: Path) -> None:
        compressing.set()
        assert go_on.wait(30)
        compress(source, target)

    compress = layout._compress
    monkeypatch.setattr(layout, "_compress", slow)
    collector = LogCollector(CONFIG)
    stream = ScriptedStream(*lines(60), is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None, retain=4 * SEGMENT)
    assert compressing.wait(10)
    until(lambda: not (tmp_path / "index.10").exists() and (tmp_path / "index.14").exists())
    stream.end()
    assert collector.wait_drained("01", 30)
    summary = collector.stop_collection("01")
    assert summary.bytes <= 4 * SEGMENT
    go_on.set()
    collector.close()
    assert verify(tmp_path).findings == ()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_retention_does_not_wait_for_a_storage_and_counts_what_it_missed(tmp_path: Path) -> None:
    operations, stuck, handed = Operations(), threading.Event(), list[int]()

    def on_segment(number: int) -> None:
        handed.append(number)
        stuck.wait(120)

    collector = LogCollector(CONFIG, on_operation=operations)
    first, rest = lines(60)[:8], lines(60)[8:]
    stream = ScriptedStream(*first, is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None, retain=4 * SEGMENT, on_segment=on_segment)
    until(lambda: bool(handed))  # before retention gets at it
    stream.put(*rest)
    until(lambda: not (tmp_path / "index.10").exists() and (tmp_path / "index.14").exists())
    assert handed == [0]
    stuck.set()
    until(lambda: handed[-1] == 14)
    collector.stop_collection("01")
    assert operations.seen.count(("store_segment", False)) >= 10
    assert handed == [0, *range(handed[1], 15)]
    collector.close()


def test_a_bot_waits_for_a_disk_that_does_not_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal_closed, go_on = LogWriter.seal_closed, threading.Event()

    def slow(writer: LogWriter) -> list[int]:
        go_on.wait(30)
        return seal_closed(writer)

    monkeypatch.setattr(LogWriter, "seal_closed", slow)
    collector = LogCollector(CONFIG)
    stream = ScriptedStream(*lines(200), has_fileno=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None, retain=4 * SEGMENT)
    until(lambda: collector.get_collection_status("01").bytes >= 5 * SEGMENT)
    assert not collector.wait_drained("01", 0.1)
    assert collector.get_collection_status("01").bytes <= 6 * SEGMENT
    go_on.set()
    assert collector.wait_drained("01", 30)
    summary = collector.stop_collection("01")
    assert summary.bytes + summary.removed_bytes == 200 * 1024
    collector.close()


def test_a_seal_that_fails_is_a_failure_to_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_writer: LogWriter) -> list[int]:
        raise LogError("cannot write the log: No space left on device")

    monkeypatch.setattr(LogWriter, "seal_closed", full)
    collector, errors = LogCollector(CONFIG), list[str]()
    stream = ScriptedStream(*lines(5), is_open=True)
    collector.start_collection(
        stream, tmp_path, source=source(), limit=None, on_failure=lambda error: errors.append(error.message)
    )
    assert collector.wait_drained("01", 10)
    assert not collector.stop_collection("01").complete
    assert errors == ["cannot write the log: No space left on device"]
    collector.close()


def test_a_compression_that_fails_leaves_the_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_directory: Path, _number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(maintenance, "compress_segment", full)
    operations = Operations()
    collector = LogCollector(CONFIG, on_operation=operations)
    collector.start_collection(ScriptedStream(*lines(5)), tmp_path, source=source(), limit=None)
    until(lambda: ("compress_segment", False) in operations.seen)
    assert (tmp_path / "stdout.0").read_bytes() == LINE * 4
    collector.close()


def test_a_collector_that_takes_over_hands_on_again_what_may_not_have_been(tmp_path: Path) -> None:
    config = LoggingConfig(segment_bytes=SEGMENT, compress=False)
    first, stuck = LogCollector(config), threading.Event()
    first.start_collection(
        ScriptedStream(*lines(9), is_open=True),
        tmp_path,
        source=source(),
        limit=None,
        on_segment=waiting_for(stuck),
    )
    until((tmp_path / "segment.1.json").exists)
    stuck.set()
    first.close()
    second, handed = LogCollector(CONFIG), list[int]()
    second.start_collection(ScriptedStream(), tmp_path, source=source(), limit=None, on_segment=handed.append)
    assert second.wait_drained("01", 10)
    second.stop_collection("01")
    assert handed == [0, 1]
    until(lambda: len(list(tmp_path.glob("stdout.*.gz"))) == 2)
    second.close()
