"""What is counted of a log while it grows: each stored byte once, however it is stored and ends."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from botdock.config import LoggingConfig
from botdock.errors import LogError
from botdock.model import LogChunk, LogSource, LogSummary, Stream
from botdock.services.log_store import LogWriter
from botdock.services.logs import LogCollector
from botdock_testing.scripted_stream import ScriptedStream
from testbed.waiting import until

SOON = LoggingConfig(sync_interval=0.01, drain_timeout=10)
NEVER = LoggingConfig(sync_interval=3600, drain_timeout=10)
"""So that what is counted is what is counted at the end."""
SOURCE = LogSource(execution_id="01", id="bot", runtime="bash")


class Counted:
    """What a collector recorded."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, int]] = []

    def __call__(self, operation: str, success: bool, size: int) -> None:
        self.seen.append((operation, success, size))

    def of(self, operation: str) -> list[tuple[bool, int]]:
        return [(success, size) for name, success, size in self.seen if name == operation]

    @property
    def stored(self) -> int:
        return sum(size for success, size in self.of("store") if success)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def out(data: bytes, time_ns: int = 1) -> LogChunk:
    return LogChunk(Stream.STDOUT, data, time_ns)


def collect(counted: Counted, folder: Path, *steps: Any, config: LoggingConfig = NEVER, **wanted: Any) -> LogSummary:
    """Collect a log from its beginning, or where another collector left it, to its end."""
    collector = LogCollector(config, reconnect_timeout=0.2, on_operation=counted)
    collector.start_collection(ScriptedStream(*steps), folder, source=SOURCE, **{"limit": None} | wanted)
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    collector.close()
    return summary


def test_what_a_bot_writes_is_counted_while_it_runs(counted: Counted, tmp_path: Path) -> None:
    collector = LogCollector(SOON, on_operation=counted)
    stream = ScriptedStream(out(b"one\n"), is_open=True)
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    until(lambda: counted.stored == 4)
    stream.put(LogChunk(Stream.STDERR, b"three\n", 2))
    until(lambda: counted.stored == 10)
    assert not counted.of("collect"), "it has not ended"
    stream.end()
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").bytes == counted.stored == 10
    collector.close()


def test_many_chunks_are_one_record(counted: Counted, tmp_path: Path) -> None:
    summary = collect(counted, tmp_path, *[out(b"line\n")] * 50)
    assert counted.of("store") == [(True, 250)]
    assert summary.bytes == 250


def test_it_is_counted_once_an_interval_at_most(counted: Counted, tmp_path: Path) -> None:
    collector = LogCollector(LoggingConfig(sync_interval=0.05), on_operation=counted)
    stream, began = ScriptedStream(is_open=True, has_fileno=True), time.monotonic()
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    written = 0
    while len(counted.of("store")) < 3:
        assert time.monotonic() < began + 10
        stream.put(out(b"x"))
        written += 1
        threading.Event().wait(0.001)
    assert time.monotonic() - began >= 3 * 0.05
    stream.end()
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").bytes == counted.stored == written
    collector.close()


def test_what_grows_no_more_is_counted_no_more(counted: Counted, tmp_path: Path) -> None:
    summary = collect(counted, tmp_path)
    assert (summary.bytes, counted.of("store")) == (0, [])
    assert counted.of("collect") == [(True, 0)]


def test_an_end_is_counted_as_an_end_and_its_bytes_only_where_they_were_stored(
    counted: Counted, tmp_path: Path
) -> None:
    collect(counted, tmp_path, out(b"bytes"))
    assert sum(size for _, _, size in counted.seen) == 5, "each byte once over all operations"
    assert counted.of("collect") == [(True, 0)]


@pytest.mark.parametrize(
    ("wanted", "chunks", "stored"),
    [
        ({"limit": 4}, [b"abc", b"def", b"ghi"], 4 + 2),
        ({"secrets": [b"hunter2"]}, [b"a hun", b"ter2 b hunt"], len("a ******* b hunt")),
        ({}, [b"no newline at the end"], 21),
        ({}, [], 0),
    ],
    ids=["head and tail", "masked, and a part of a secret held back", "an open line", "nothing"],
)
def test_the_sum_is_what_the_summary_says_is_stored(
    counted: Counted, tmp_path: Path, wanted: dict[str, Any], chunks: list[bytes], stored: int
) -> None:
    config = LoggingConfig(output_tail=2, sync_interval=0.01)
    summary = collect(counted, tmp_path, *map(out, chunks), config=config, **wanted)
    assert counted.stored == summary.bytes == stored


def test_what_retention_removed_was_stored_all_the_same(counted: Counted, tmp_path: Path) -> None:
    config = LoggingConfig(segment_bytes=4096, sync_interval=0.01)
    summary = collect(counted, tmp_path, *[out(b"x" * 1024)] * 60, config=config, retain=4 * 4096)
    assert summary.removed_bytes > 0
    assert counted.stored == summary.bytes + summary.removed_bytes == 60 * 1024


def test_each_of_two_collectors_counts_what_it_stored_itself(tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    collector = LogCollector(NEVER, on_operation=first)
    stream = ScriptedStream(out(b"of the first, "), is_open=True)
    collector.start_collection(stream, tmp_path, source=SOURCE, limit=None)
    until(lambda: collector.get_collection_status("01").bytes == 14)
    collector.release("01")
    collector.close()
    summary = collect(second, tmp_path, out(b"of the second"))
    assert (first.stored, second.stored) == (14, 13)
    assert summary.bytes == first.stored + second.stored
    assert not first.of("collect"), "it saw no end"
    assert second.of("collect") == [(True, 0)]


def test_a_collector_that_is_closed_has_counted_everything(counted: Counted, tmp_path: Path) -> None:
    collector = LogCollector(NEVER, on_operation=counted)
    collector.start_collection(ScriptedStream(out(b"abc"), is_open=True), tmp_path, source=SOURCE, limit=None)
    until(lambda: collector.get_collection_status("01").bytes == 3)
    collector.close()
    assert counted.of("store") == [(True, 3)]


def test_a_second_stop_counts_nothing_again(counted: Counted, tmp_path: Path) -> None:
    collector = LogCollector(NEVER, on_operation=counted)
    collector.start_collection(ScriptedStream(out(b"abc")), tmp_path, source=SOURCE, limit=None)
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01") == collector.stop_collection("01")
    collector.close()
    assert counted.of("store") == [(True, 3)]


def test_a_disk_that_takes_no_more_is_one_error_and_what_it_took_is_counted(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LogWriter.append

    def full(writer: LogWriter, chunk: LogChunk) -> bytes:
        if chunk.data == b"three":
            raise LogError("cannot write the log: No space left on device")
        return append(writer, chunk)

    monkeypatch.setattr(LogWriter, "append", full)
    steps = [out(b"one"), LogChunk(Stream.STDERR, b"two", 1), out(b"three"), LogChunk(Stream.STDERR, b"four", 1)]
    summary = collect(counted, tmp_path, steps)
    assert summary.bytes == counted.stored == 6
    assert counted.of("store") == [(False, 0), (True, 6)]
    assert counted.of("collect") == [(False, 0)]
