"""The log on disk: exact bytes, order, counts, hashes, limits."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import LogError
from botdock.model import LogChunk, Stream
from botdock.services.log_files import LogReader, LogWriter, combined_hash, read_tail, stream_file

CHUNKS = st.lists(st.builds(LogChunk, st.sampled_from(Stream), st.binary(min_size=1, max_size=40), st.integers(0, 9)))


def write(directory: Path, chunks: list[LogChunk], limit: int = 10**9) -> LogWriter:
    writer = LogWriter(directory, limit=limit)
    for chunk in chunks:
        writer.append(chunk)
    return writer


def joined(chunks: list[LogChunk], stream: Stream) -> bytes:
    return b"".join(chunk.data for chunk in chunks if chunk.stream is stream)


@given(chunks=CHUNKS)
def test_files_hold_exactly_the_bytes_and_the_reader_gives_back_the_order(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[LogChunk]
) -> None:
    directory = tmp_path_factory.mktemp("log")
    writer = write(directory, chunks)
    summary = writer.summary(gaps=0, complete=True)
    writer.close()
    for stream in Stream:
        expected = joined(chunks, stream)
        assert stream_file(directory, stream).read_bytes() == expected
        entry = summary.streams[stream.value]
        assert entry["bytes"] == len(expected)
        assert entry["lines"] == expected.count(b"\n") + bool(expected and not expected.endswith(b"\n"))
        assert entry["sha256"] == hashlib.sha256(expected).hexdigest()
    with LogReader(directory) as reader:
        assert list(reader.read()) == chunks


def test_lines_are_newlines_and_an_unterminated_last_line(tmp_path: Path) -> None:
    writer = write(tmp_path, [LogChunk(Stream.STDOUT, b"a\nb"), LogChunk(Stream.STDERR, b"c\n")])
    summary = writer.summary(gaps=0, complete=True)
    writer.close()
    assert (summary.lines, summary.bytes) == (3, 5)
    assert (summary.streams["stdout"]["lines"], summary.streams["stderr"]["lines"]) == (2, 1)


def test_one_hash_covers_both_streams(tmp_path: Path) -> None:
    writer = write(tmp_path, [LogChunk(Stream.STDOUT, b"out"), LogChunk(Stream.STDERR, b"err")])
    summary = writer.summary(gaps=0, complete=True)
    writer.close()
    text = f"stdout {hashlib.sha256(b'out').hexdigest()}\nstderr {hashlib.sha256(b'err').hexdigest()}\n"
    assert summary.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert summary.sha256 == combined_hash({name: str(entry["sha256"]) for name, entry in summary.streams.items()})


def test_what_exceeds_the_limit_is_dropped_and_counted_as_a_gap(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, limit=5)
    assert writer.append(LogChunk(Stream.STDOUT, b"abc")) == b"abc"
    assert writer.append(LogChunk(Stream.STDERR, b"defg")) == b"de"
    assert writer.append(LogChunk(Stream.STDOUT, b"h")) == b""
    summary = writer.summary(gaps=0, complete=True)
    writer.close()
    assert (summary.bytes, summary.gaps, writer.dropped) == (5, 1, 3)


def test_the_cursor_is_what_is_stored_of_each_stream(tmp_path: Path) -> None:
    writer = write(tmp_path, [LogChunk(Stream.STDOUT, b"abc"), LogChunk(Stream.STDERR, b"d")])
    assert (writer.cursor.stdout, writer.cursor.stderr) == (3, 1)
    writer.close()


def test_a_reader_sees_what_comes_later(tmp_path: Path) -> None:
    writer = write(tmp_path, [LogChunk(Stream.STDOUT, b"first")])
    with LogReader(tmp_path) as reader:
        assert [chunk.data for chunk in reader.read()] == [b"first"]
        writer.append(LogChunk(Stream.STDOUT, b"second"))
        assert [chunk.data for chunk in reader.read()] == [b"second"]
    writer.close()


def test_a_torn_record_is_left_for_later(tmp_path: Path) -> None:
    writer = write(tmp_path, [LogChunk(Stream.STDOUT, b"first")])
    writer.close()
    with (tmp_path / "index.0").open("ab") as file:
        file.write(b"torn")
    with LogReader(tmp_path) as reader:
        assert [chunk.data for chunk in reader.read()] == [b"first"]


@given(chunks=CHUNKS, size=st.integers(1, 60))
def test_the_tail_is_the_end_of_both_streams_as_they_came(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[LogChunk], size: int
) -> None:
    directory = tmp_path_factory.mktemp("log")
    write(directory, chunks).close()
    assert read_tail(directory, size) == b"".join(chunk.data for chunk in chunks)[-size:]


def test_a_log_is_never_begun_over_another(tmp_path: Path) -> None:
    write(tmp_path, [LogChunk(Stream.STDOUT, b"x")]).close()
    with pytest.raises(LogError, match="cannot write the log"):
        LogWriter(tmp_path, limit=1)


def test_a_full_disk_is_a_log_error(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, limit=10)
    writer.close()
    with pytest.raises(LogError) as caught:
        writer.append(LogChunk(Stream.STDOUT, b"x"))
    assert "BOTDOCK_HOME" in str(caught.value)
