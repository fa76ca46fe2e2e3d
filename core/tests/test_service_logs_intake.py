"""What one read costs in the index, and that joining loses nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import LoggingConfig
from botdock.model import LogChunk, LogSource, Stream
from botdock.services.log_store import StoredLog
from botdock.services.log_store.layout import RECORD
from botdock.services.logs import LogCollector
from botdock.services.logs.intake import MAX_CHUNKS, MOMENT_NS, condense
from botdock.services.logs.loop import MUCH, REST
from botdock_testing.scripted_stream import ScriptedStream

NOW = 1_700_000_000_000_000_000
LARGEST = 1000
CHUNKS = st.lists(
    st.builds(
        LogChunk,
        st.sampled_from(list(Stream)),
        st.binary(max_size=3) | st.binary(min_size=900, max_size=2500),
        st.integers(0, 3 * MOMENT_NS).map(lambda offset: NOW + offset),
    ),
    max_size=200,
)


def contents(chunks: list[LogChunk]) -> dict[Stream, bytes]:
    return {stream: b"".join(chunk.data for chunk in chunks if chunk.stream is stream) for stream in Stream}


def alternating(count: int, time_ns: int = NOW) -> list[LogChunk]:
    return [LogChunk(list(Stream)[number % 2], b"%d" % (number % 10), time_ns) for number in range(count)]


@given(CHUNKS)
def test_no_byte_is_lost_doubled_or_moved_within_its_stream(chunks: list[LogChunk]) -> None:
    stored = condense(chunks, largest=LARGEST)
    assert contents(stored) == contents(chunks)
    assert all(0 < len(chunk.data) <= LARGEST for chunk in stored)


def test_neighbours_of_one_stream_and_moment_are_one() -> None:
    chunks = [LogChunk(Stream.STDOUT, data, NOW + time) for data, time in ((b"a", 0), (b"b", 1), (b"c", MOMENT_NS))]
    assert condense(chunks, largest=LARGEST) == [
        LogChunk(Stream.STDOUT, b"ab", NOW),
        LogChunk(Stream.STDOUT, b"c", NOW + MOMENT_NS),
    ]


def test_the_order_of_a_few_is_kept_and_that_of_many_is_by_stream() -> None:
    few, many = alternating(MAX_CHUNKS), alternating(MAX_CHUNKS + 1)
    assert condense(few, largest=LARGEST) == few
    assert [chunk.stream for chunk in condense(many, largest=LARGEST)] == [Stream.STDOUT, Stream.STDERR]


def test_many_that_took_their_time_keep_it() -> None:
    chunks = [LogChunk(chunk.stream, chunk.data, NOW + at * MOMENT_NS) for at, chunk in enumerate(alternating(100))]
    assert condense(chunks, largest=LARGEST) == chunks


@pytest.mark.parametrize("time_ns", [0, -1, 2**80])
def test_what_has_no_time_was_seen_now(time_ns: int) -> None:
    (stored,) = condense([LogChunk(Stream.STDOUT, b"x", time_ns)], largest=LARGEST)
    assert stored.time_ns > NOW


def test_what_is_no_chunk_is_refused() -> None:
    with pytest.raises(TypeError, match="holds str, not bytes"):
        condense([LogChunk(Stream.STDOUT, "text")], largest=LARGEST)  # type: ignore[arg-type] # a plugin's mistake
    with pytest.raises(ValueError, match="stdlog"):
        condense([LogChunk("stdlog", b"x")], largest=LARGEST)  # type: ignore[arg-type] # the same


@pytest.mark.parametrize(("chunks", "reads"), [(1, 20), (MAX_CHUNKS, 20), (3000, 20), (MUCH, 5)])
def test_the_index_of_a_bot_that_alternates_single_bytes_is_bounded(tmp_path: Path, chunks: int, reads: int) -> None:
    """The bound that `condense` states: by reads where they bring little, by bytes where they bring much."""
    collector = LogCollector(LoggingConfig())
    steps = [alternating(chunks, NOW + read) for read in range(reads)]
    stream = ScriptedStream(*steps, has_fileno=True)
    source = LogSource(execution_id="01", id="bot", runtime="bash")
    collector.start_collection(stream, tmp_path, source=source, limit=None)
    assert collector.wait_drained("01", 30)
    written = collector.stop_collection("01").bytes
    collector.close()
    records = (tmp_path / "index.0").stat().st_size / RECORD.size
    assert written == chunks * reads
    assert records <= reads * MAX_CHUNKS
    if chunks > MAX_CHUNKS:
        assert records == 2 * reads
    if chunks >= MUCH:
        assert records * RECORD.size < 0.02 * written


def test_a_stream_that_brings_little_is_read_no_more_often_than_it_may_rest(tmp_path: Path) -> None:
    collector = LogCollector(LoggingConfig())
    stream = ScriptedStream(*[LogChunk(Stream.STDOUT, b"x", NOW)] * 20, has_fileno=True)
    source = LogSource(execution_id="01", id="bot", runtime="bash")
    begun = time.monotonic()
    collector.start_collection(stream, tmp_path, source=source, limit=None)
    seen, ended = -1, False
    while not ended:  # not `wait_drained`, for which it would not rest
        seen, ended = collector.wait_progress("01", seen, 30)
    assert time.monotonic() - begun >= 19 * REST
    collector.close()


def test_a_first_line_is_not_kept_waiting_for_a_look_before_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock.services.logs.loop.REST", 60.0)
    collector = LogCollector(LoggingConfig())
    stream = ScriptedStream([], LogChunk(Stream.STDOUT, b"hello", NOW), has_fileno=True)
    collector.start_collection(
        stream, tmp_path, source=LogSource(execution_id="01", id="bot", runtime="bash"), limit=None
    )
    assert collector.wait_drained("01", 30)
    assert StoredLog(tmp_path).tail(100) == "hello"
    collector.close()
