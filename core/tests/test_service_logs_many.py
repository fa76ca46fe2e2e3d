"""Many logs at once: few threads, few descriptors, no work for silence, and none that holds up another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from botdock.config import LoggingConfig
from botdock.model import LogChunk, LogSource, LogStream, Stream
from botdock.services.log_store import StoredLog
from botdock.services.logs import LogCollector, loop
from botdock.services.logs.loop import MAX_OPEN, MUCH
from botdock_testing.scripted_stream import ScriptedStream
from testbed.waiting import until

MANY = 200
THREADS = 12
"""A loop, a watch, one for the disk, one for compression, four for storages, four for engines."""


def source(name: str = "01") -> LogSource:
    return LogSource(execution_id=name, id="bot", runtime="bash")


def out(data: bytes) -> LogChunk:
    return LogChunk(Stream.STDOUT, data, 1)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def collector() -> Iterator[LogCollector]:
    made = LogCollector(LoggingConfig(sync_interval=0.05))
    yield made
    made.close()


def begin(collector: LogCollector, directory: Path, count: int) -> list[ScriptedStream]:
    streams = [ScriptedStream(is_open=True, has_fileno=True) for _ in range(count)]
    for number, stream in enumerate(streams):
        collector.start_collection(stream, directory / str(number), source=source(str(number)), limit=None)
    return streams


def all_have(collector: LogCollector, size: int) -> bool:
    return all(collector.get_collection_status(str(number)).bytes == size for number in range(MANY))


def test_two_hundred_that_write_slowly_are_all_complete_with_few_threads_and_descriptors(
    collector: LogCollector, tmp_path: Path
) -> None:
    threads, opened = threading.active_count(), descriptors()
    streams = begin(collector, tmp_path, MANY)
    own = 2 * MANY  # the two ends of each stream's pipe
    most_threads = most_files = 0
    for turn in range(5):
        for stream in streams:
            stream.put(out(b"line %d\n" % turn))
        until(partial(all_have, collector, 7 * (turn + 1)))
        most_threads = max(most_threads, threading.active_count())
        most_files = max(most_files, descriptors() - opened - own)
    assert most_files <= 3 * MAX_OPEN + 8
    assert most_threads - threads <= THREADS
    for stream in streams:
        stream.end()
    assert all(collector.wait_drained(str(number), 20) for number in range(MANY))
    assert all(collector.stop_collection(str(number)).complete for number in range(MANY))
    assert descriptors() - opened <= 8
    assert StoredLog(tmp_path / "7").ended


def test_silence_costs_nothing(collector: LogCollector, tmp_path: Path) -> None:
    streams = begin(collector, tmp_path, MANY)
    streams[0].put(out(b"awake"))
    until(lambda: collector.get_collection_status("0").bytes == 5)
    reads, used = sum(stream.reads for stream in streams), time.process_time()
    threading.Event().wait(0.5)  # the time that is measured
    assert sum(stream.reads for stream in streams) == reads
    assert time.process_time() - used < 0.05


def test_a_silent_one_holds_its_stream_and_no_file(collector: LogCollector, tmp_path: Path) -> None:
    opened = descriptors()
    streams = begin(collector, tmp_path, 20)
    until(lambda: all(stream.reads for stream in streams))
    assert descriptors() - opened <= 2 * 20 + 4


def test_a_line_is_there_long_before_a_second_is_over(collector: LogCollector, tmp_path: Path) -> None:
    (stream,) = begin(collector, tmp_path, 1)
    following = collector.stream_logs("0")
    delays = []
    for _ in range(20):
        begun = time.monotonic()
        stream.put(out(b"now\n"))
        assert next(following).data == b"now\n"
        delays.append(time.monotonic() - begun)
    assert sorted(delays)[len(delays) // 2] < 0.2


def test_one_that_never_stops_starves_no_other(collector: LogCollector, tmp_path: Path) -> None:
    class Flood(ScriptedStream):
        def read(self, timeout: float) -> Sequence[LogChunk]:
            return (out(b"x" * MUCH),)

    collector.start_collection(Flood(is_open=True), tmp_path / "flood", source=source("flood"), limit=MUCH)
    quiet = ScriptedStream(out(b"me too"), has_fileno=True)
    collector.start_collection(quiet, tmp_path / "quiet", source=source("quiet"), limit=None)
    assert collector.wait_drained("quiet", 10)
    assert collector.stop_collection("flood").bytes <= 2 * MUCH


@pytest.mark.parametrize("descriptor", [-1, 10**6, "three"])
def test_a_descriptor_that_is_none_is_not_waited_on(
    collector: LogCollector, tmp_path: Path, descriptor: object
) -> None:
    class Odd(ScriptedStream):
        def fileno(self) -> int | None:
            return descriptor  # type: ignore[return-value] # a plugin's mistake

    collector.start_collection(Odd(out(b"a"), out(b"b")), tmp_path, source=source(), limit=None)
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").bytes == 2


class Stuck(LogStream):
    """Does not return from its first read until it is closed."""

    ended = False

    def __init__(self) -> None:
        self.reading, self.closed, self.returned = threading.Event(), threading.Event(), threading.Event()

    def read(self, timeout: float) -> Sequence[LogChunk]:
        self.reading.set()
        self.closed.wait(60)
        self.returned.set()
        return (out(b"too late"),)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed.set()


def test_one_that_does_not_return_from_a_read_holds_up_no_other(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LONGEST_READ", 0.05)
    stuck, fine = Stuck(), ScriptedStream(out(b"before"), is_open=True, has_fileno=True)
    collector.start_collection(fine, tmp_path / "fine", source=source("fine"), limit=None)
    collector.start_collection(stuck, tmp_path / "stuck", source=source("stuck"), limit=None)
    assert stuck.reading.wait(10)
    fine.put(out(b" and after"))
    fine.end()
    assert collector.wait_drained("fine", 10)
    assert collector.stop_collection("fine").complete
    assert "did not return" in collector.get_collection_status("stuck").error
    assert stuck.returned.wait(10)
    summary = collector.stop_collection("stuck")
    assert (summary.bytes, summary.complete) == (0, False)


def test_a_third_partys_mistake_stops_only_its_own_log(collector: LogCollector, tmp_path: Path) -> None:
    for number, error in enumerate((KeyError("oops"), SystemExit(1))):
        stream = ScriptedStream(error)
        collector.start_collection(stream, tmp_path / str(number), source=source(str(number)), limit=9)
        assert collector.wait_drained(str(number), 10)
        assert not collector.stop_collection(str(number)).complete
    collector.start_collection(ScriptedStream(out(b"fine")), tmp_path / "2", source=source("2"), limit=9)
    assert collector.wait_drained("2", 10)
    assert collector.stop_collection("2").complete
