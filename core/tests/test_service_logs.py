"""Collecting: every byte once, whatever the stream does."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from botdock.config import LoggingConfig
from botdock.errors import BotdockError, ContainerError, LogError
from botdock.model import LogChunk, LogCursor, LogLine, LogSink, LogSource, LogStream, Stream
from botdock.services.logs import LogCollector
from botdock.services.sinks import SinkFanOut

CONFIG = LoggingConfig(drain_timeout=10)


class ScriptedStream(LogStream):
    """Delivers what a test puts in; without a descriptor, so that the collector polls it."""

    def __init__(self, *steps: LogChunk | Exception, open_end: bool = False) -> None:
        self.steps = list(steps)
        self.open_end = open_end
        self.closed = threading.Event()

    @property
    def ended(self) -> bool:
        return not self.steps and not self.open_end

    def read(self, timeout: float) -> Sequence[LogChunk]:
        if not self.steps:
            return ()
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return (step,)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed.set()


class Keeping(LogSink):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.lines += [line.text for line in lines]

    def close(self) -> None:
        pass


def source(name: str = "01") -> LogSource:
    return LogSource(execution_id=name, id="bot", runtime="bash")


def out(data: bytes) -> LogChunk:
    return LogChunk(Stream.STDOUT, data, 1)


@pytest.fixture
def collector() -> Iterator[LogCollector]:
    made = LogCollector(CONFIG, reconnect_timeout=0.2)
    yield made
    made.close()


def test_a_log_is_stored_counted_and_complete(collector: LogCollector, tmp_path: Path) -> None:
    stream = ScriptedStream(out(b"a\n"), LogChunk(Stream.STDERR, b"b"), out(b"c"))
    collector.start_collection(stream, tmp_path, source=source(), limit=100)
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.lines, summary.gaps, summary.complete) == (4, 3, 0, True)
    assert collector.collect_logs("01") == "a\nbc"
    assert collector.collect_logs("01", 1) == "c"
    assert stream.closed.is_set()
    assert collector.get_collection_status("01").ended


def test_many_logs_need_one_thread(collector: LogCollector, tmp_path: Path) -> None:
    before = threading.active_count()
    for number in range(20):
        stream = ScriptedStream(out(b"x"), open_end=True)
        collector.start_collection(stream, tmp_path / str(number), source=source(str(number)), limit=10)
    assert threading.active_count() == before + 1


def test_a_follower_sees_each_chunk_and_the_end(collector: LogCollector, tmp_path: Path) -> None:
    stream = ScriptedStream(out(b"one"), open_end=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=100)
    following = collector.stream_logs("01")
    assert next(following).data == b"one"
    stream.steps.append(out(b"two"))
    assert next(following).data == b"two"
    stream.open_end = False
    assert list(following) == []


def test_without_follow_what_is_there_is_all(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(out(b"one"), open_end=True), tmp_path, source=source(), limit=100)
    next(collector.stream_logs("01"))
    assert [chunk.data for chunk in collector.stream_logs("01", follow=False)] == [b"one"]


def test_a_bot_that_writes_too_much_is_reported_once_and_its_head_kept(collector: LogCollector, tmp_path: Path) -> None:
    calls: list[int] = []
    stream = ScriptedStream(out(b"abc"), out(b"def"), out(b"ghi"))
    collector.start_collection(stream, tmp_path, source=source(), limit=4, on_limit=lambda: calls.append(1))
    collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.gaps, calls) == (4, 1, [1])


def test_a_stream_that_breaks_is_continued_from_what_is_stored(collector: LogCollector, tmp_path: Path) -> None:
    cursors: list[LogCursor] = []

    def reopen(cursor: LogCursor) -> LogStream:
        cursors.append(cursor)
        if len(cursors) == 1:
            raise ContainerError("still away")
        return ScriptedStream(out(b"rest"))

    stream = ScriptedStream(out(b"begin "), ContainerError("cut"))
    collector.start_collection(stream, tmp_path, source=source(), limit=100, reopen=reopen)
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (collector.collect_logs("01"), summary.complete, summary.gaps) == ("begin rest", True, 0)
    assert [cursor.stdout for cursor in cursors] == [6, 6]
    assert collector.get_collection_status("01").resumed == 1


def test_a_stream_that_cannot_be_continued_is_a_gap(collector: LogCollector, tmp_path: Path) -> None:
    def reopen(_cursor: LogCursor) -> LogStream:
        raise ContainerError("gone for good")

    stream = ScriptedStream(out(b"begin"), ContainerError("cut"))
    collector.start_collection(stream, tmp_path, source=source(), limit=100, reopen=reopen)
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.gaps, summary.complete) == (5, 1, False)
    assert collector.get_collection_status("01").error == "gone for good"


def test_a_third_partys_mistake_stops_only_its_own_log(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(KeyError("oops")), tmp_path / "1", source=source("1"), limit=9)
    collector.start_collection(ScriptedStream(out(b"fine")), tmp_path / "2", source=source("2"), limit=9)
    assert collector.wait_drained("1", 10)
    assert collector.wait_drained("2", 10)
    assert not collector.stop_collection("1").complete
    assert collector.stop_collection("2").complete


def test_our_own_full_disk_is_reported_and_not_read_again(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise LogError("cannot write the log: No space left on device")

    monkeypatch.setattr("botdock.services.log_store.LogWriter.append", full)
    errors: list[BotdockError] = []
    collector.start_collection(
        ScriptedStream(out(b"x")),
        tmp_path,
        source=source(),
        limit=9,
        on_failure=errors.append,
        reopen=lambda _cursor: pytest.fail("must not be read again"),
    )
    assert collector.wait_drained("01", 10)
    assert "No space left" in errors[0].message


def test_stopping_early_keeps_what_there_is_and_says_that_it_is_not_all(
    collector: LogCollector, tmp_path: Path
) -> None:
    stream = ScriptedStream(out(b"some"), open_end=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=100)
    next(collector.stream_logs("01"))
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.complete, summary.gaps) == (4, False, 1)
    assert stream.closed.is_set()


def test_sinks_get_the_lines_and_the_unterminated_rest(tmp_path: Path) -> None:
    sink = Keeping()
    collector = LogCollector(CONFIG, sinks=SinkFanOut({"keeping": sink}, capacity=100))
    collector.start_collection(ScriptedStream(out(b"a\nb"), out(b"c")), tmp_path, source=source(), limit=100)
    collector.wait_drained("01", 10)
    collector.stop_collection("01")
    collector.close()
    assert sink.lines == ["a", "bc"]


def test_an_unknown_execution_is_a_log_error(collector: LogCollector) -> None:
    with pytest.raises(LogError, match="nobody"):
        collector.collect_logs("nobody")


def test_a_forgotten_collection_is_unknown_but_its_files_stay(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(out(b"x")), tmp_path, source=source(), limit=9)
    collector.wait_drained("01", 10)
    collector.stop_collection("01")
    collector.forget("01")
    with pytest.raises(LogError):
        collector.stop_collection("01")
    assert (tmp_path / "stdout.0").read_bytes() == b"x"


def test_a_folder_that_cannot_be_written_is_refused_and_recorded(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []
    collector = LogCollector(CONFIG, on_operation=lambda name, success, _size: seen.append((name, success)))
    (tmp_path / "stdout.0").write_bytes(b"taken")
    with pytest.raises(LogError):
        collector.start_collection(ScriptedStream(), tmp_path, source=source(), limit=9)
    collector.close()
    assert seen == [("start_collection", False)]
