"""Collecting: every byte once, whatever the stream does."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from botdock.config import LoggingConfig
from botdock.errors import BotdockError, LogError
from botdock.model import LogChunk, LogCursor, LogLine, LogSink, LogSource, LogStream, Stream
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.logs import LogCollector
from botdock_testing.scripted_stream import ScriptedStream

CONFIG = LoggingConfig(drain_timeout=10)


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
def records() -> Iterator[list[Mapping[str, Any]]]:
    """What botdock says in its own log."""
    found: list[Mapping[str, Any]] = []
    logger.enable("botdock")
    handler = logger.add(lambda message: found.append(message.record), level="DEBUG")
    yield found
    logger.remove(handler)
    logger.disable("botdock")


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
    assert StoredLog(tmp_path).tail(100) == "a\nbc"
    assert StoredLog(tmp_path).tail(1) == "c"
    assert stream.closed.is_set()
    assert collector.get_collection_status("01").ended


def test_a_short_log_is_at_hand_as_it_is_stored(tmp_path: Path) -> None:
    collector = LogCollector(LoggingConfig(output_tail=8))
    split = [out(b"a\xc3"), LogChunk(Stream.STDERR, b"pass"), out(b"\xa9"), out(b"\xff")]
    for number, chunks in enumerate([split, [*split, out(b"9")], [out(b"x")] * 9, []]):
        log = tmp_path / str(number)
        collector.start_collection(ScriptedStream(chunks), log, source=source(), limit=100, secrets=[b"pass"])
        collector.wait_drained("01", 60)
        summary = collector.stop_collection("01")
        text = StoredLog(log).tail(8)
        assert collector.short_text("01") == (text if summary.bytes <= 8 else None)
        collector.forget("01")
    assert text == ""
    collector.close()


def test_a_follower_sees_each_chunk_and_the_end(collector: LogCollector, tmp_path: Path) -> None:
    stream = ScriptedStream(out(b"one"), is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=100)
    following = collector.stream_logs("01")
    assert next(following).data == b"one"
    stream.put(out(b"two"))
    assert next(following).data == b"two"
    stream.end()
    assert list(following) == []


def test_without_follow_what_is_there_is_all(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(out(b"one"), is_open=True), tmp_path, source=source(), limit=100)
    next(collector.stream_logs("01"))
    assert [chunk.data for chunk in collector.stream_logs("01", follow=False)] == [b"one"]


def test_a_bot_that_writes_too_much_is_reported_once_and_its_head_and_tail_are_kept(tmp_path: Path) -> None:
    collector = LogCollector(LoggingConfig(output_tail=2))
    calls: list[int] = []
    stream = ScriptedStream(out(b"abc"), out(b"def"), out(b"ghi"))
    collector.start_collection(stream, tmp_path, source=source(), limit=4, on_limit=lambda: calls.append(1))
    collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.gaps, summary.gap_bytes, calls) == (6, 1, 3, [1])
    assert StoredLog(tmp_path).tail(100) == "abcdhi"
    assert collector.get_collection_status("01").gaps == 1
    collector.close()


def test_our_own_full_disk_is_reported_once_and_not_read_again(
    collector: LogCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, appended = LogWriter.append, []

    def full(writer: LogWriter, chunk: LogChunk) -> bytes:
        appended.append(chunk.data)
        if chunk.data == b"two":
            raise LogError("cannot write the log: No space left on device")
        return append(writer, chunk)

    monkeypatch.setattr(LogWriter, "append", full)
    errors: list[BotdockError] = []
    stream = ScriptedStream([out(b"one"), LogChunk(Stream.STDERR, b"two", 1), out(b"three")], out(b"four"))
    collector.start_collection(
        stream,
        tmp_path,
        source=source(),
        limit=None,
        on_failure=errors.append,
        reopen=lambda _cursor: pytest.fail("must not be read again"),
    )
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.complete) == (3, False), "what follows what could not be stored is not stored either"
    assert appended == [b"one", b"two"]
    assert [error.message for error in errors] == ["cannot write the log: No space left on device"]


def test_a_sync_that_fails_is_a_failure_to_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_writer: LogWriter) -> None:
        raise LogError("cannot write the log: Input/output error")

    monkeypatch.setattr(LogWriter, "sync", broken)
    collector = LogCollector(LoggingConfig(sync_interval=0.001))
    failed = threading.Event()
    stream = ScriptedStream(out(b"x"), is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None, on_failure=lambda _error: failed.set())
    assert failed.wait(10)
    assert collector.wait_drained("01", 10)
    assert "Input/output" in collector.get_collection_status("01").error
    collector.close()


def test_a_callback_that_raises_stops_nothing(collector: LogCollector, tmp_path: Path) -> None:
    stream = ScriptedStream(out(b"abc"), out(b"def"))
    collector.start_collection(stream, tmp_path, source=source(), limit=1, on_limit=lambda: pytest.fail("oops"))
    assert collector.wait_drained("01", 10)
    assert collector.stop_collection("01").complete


def test_stopping_early_keeps_what_there_is_and_says_that_it_is_not_all(
    collector: LogCollector, tmp_path: Path
) -> None:
    stream = ScriptedStream(out(b"some"), is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=100)
    next(collector.stream_logs("01"))
    summary = collector.stop_collection("01")
    assert (summary.bytes, summary.complete, summary.gaps) == (4, False, 0)
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
    with pytest.raises(LogError, match="unknown"):
        collector.get_collection_status("unknown")


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
    (tmp_path / "logs").write_bytes(b"taken")
    stream = ScriptedStream()
    with pytest.raises(LogError):
        collector.start_collection(stream, tmp_path / "logs", source=source(), limit=9)
    collector.close()
    assert seen == [("start_collection", False)]


def test_what_makes_no_sense_is_refused(collector: LogCollector, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a stream nor a way"):
        collector.start_collection(None, tmp_path, source=source(), limit=None)
    with pytest.raises(ValueError, match="not both"):
        collector.start_collection(ScriptedStream(), tmp_path, source=source(), limit=1, retain=1)
    collector.start_collection(ScriptedStream(), tmp_path, source=source(), limit=None)
    with pytest.raises(LogError, match="already"):
        collector.start_collection(ScriptedStream(), tmp_path / "2", source=source(), limit=None)


def test_without_a_known_exit_no_log_is_complete(collector: LogCollector, tmp_path: Path) -> None:
    collector.start_collection(ScriptedStream(out(b"x")), tmp_path, source=source(), limit=None)
    assert collector.wait_drained("01", 10)
    first = collector.stop_collection("01", exit_known=False)
    assert not first.complete
    assert collector.stop_collection("01") == first, "an end is written once"
    assert StoredLog(tmp_path).summary() == first


def test_a_released_log_is_continued_by_another_collector_line_by_line(tmp_path: Path) -> None:
    sink = Keeping()
    first = LogCollector(CONFIG)
    first.start_collection(ScriptedStream(out(b"half a "), is_open=True), tmp_path, source=source(), limit=None)
    next(first.stream_logs("01"))
    first.release("01")
    with pytest.raises(LogError):
        first.get_collection_status("01")
    assert not StoredLog(tmp_path).ended
    second = LogCollector(CONFIG, sinks=SinkFanOut({"keeping": sink}, capacity=100))
    cursors: list[LogCursor] = []

    def reopen(cursor: LogCursor) -> LogStream:
        cursors.append(cursor)
        return ScriptedStream(out(b"line\n"))

    second.start_collection(None, tmp_path, source=source(), limit=None, reopen=reopen)
    assert second.wait_drained("01", 10)
    assert second.get_collection_status("01").resumed == 0
    assert second.stop_collection("01").lines == 1
    assert second.short_text("01") is None, "it is to be read"
    for collector in (first, second):
        collector.close()
    assert [cursor.stdout for cursor in cursors] == [7]
    assert sink.lines == ["half a line"]


def test_closing_ends_no_log(tmp_path: Path) -> None:
    collector = LogCollector(CONFIG)
    stream = ScriptedStream(out(b"x"), is_open=True)
    collector.start_collection(stream, tmp_path, source=source(), limit=None)
    following = collector.stream_logs("01")
    assert next(following).data == b"x"
    collector.close()
    assert list(following) == []
    assert stream.closed.is_set()
    assert not StoredLog(tmp_path).ended


def test_secrets_are_masked_where_a_chunk_cuts_them_and_sinks_get_no_more(tmp_path: Path) -> None:
    sink = Keeping()
    collector = LogCollector(CONFIG, sinks=SinkFanOut({"keeping": sink}, capacity=100))
    stream = ScriptedStream(out(b"my pass"), out(b"word\nmy pass"))
    collector.start_collection(stream, tmp_path, source=source(), limit=None, secrets=[b"password"])
    assert collector.wait_drained("01", 10)
    summary = collector.stop_collection("01")
    collector.close()
    assert (summary.masked, sink.lines) == (1, ["my ********", "my pass"])


def test_what_botdock_says_of_a_log_names_the_execution(
    collector: LogCollector, tmp_path: Path, records: list[Mapping[str, Any]]
) -> None:
    collector.start_collection(ScriptedStream(KeyError("oops")), tmp_path, source=source(), limit=None)
    assert collector.wait_drained("01", 10)
    said = [record["extra"] for record in records if "broke" in record["message"]]
    assert said
    assert all(extra["execution_id"] == "01" for extra in said)
