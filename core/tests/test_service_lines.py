"""From chunks to lines."""

from hypothesis import given
from hypothesis import strategies as st

from botdock.model import LogChunk, Stream
from botdock.services.lines import MAX_PIECE, LineSplitter, lines_of

CHUNKS = st.lists(
    st.builds(LogChunk, st.sampled_from(Stream), st.text("ab\n\r", min_size=1).map(str.encode), st.integers(0, 99))
)


@given(chunks=CHUNKS)
def test_lines_put_together_are_what_was_written(chunks: list[LogChunk]) -> None:
    lines = list(lines_of(chunks))
    for stream in Stream:
        own = [line for line in lines if line.stream is stream]
        written = b"".join(chunk.data for chunk in chunks if chunk.stream is stream)
        assert b"".join(line.data + b"\n" * line.complete for line in own) == written
        assert all(line.complete for line in own[:-1])


def test_a_line_has_the_time_of_its_first_byte() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(LogChunk(Stream.STDOUT, b"be", 1))) == []
    first, second = splitter.feed(LogChunk(Stream.STDOUT, b"gun\nnew\n", 2))
    assert (first.text, first.time_ns) == ("begun", 1)
    assert (second.text, second.time_ns) == ("new", 2)


def test_a_long_line_comes_in_pieces() -> None:
    data = b"x" * (2 * MAX_PIECE + 3)
    lines = list(lines_of([LogChunk(Stream.STDOUT, data), LogChunk(Stream.STDOUT, b"\n")]))
    assert b"".join(line.data for line in lines) == data
    assert [line.complete for line in lines] == [False, False, True]
    assert max(len(line.data) for line in lines) == MAX_PIECE


def test_a_long_line_that_ends_in_its_chunk_comes_in_pieces_too() -> None:
    lines = list(lines_of([LogChunk(Stream.STDERR, b"x" * (MAX_PIECE + 1) + b"\n")]))
    assert [(len(line.data), line.complete) for line in lines] == [(MAX_PIECE, False), (1, True)]


def test_text_replaces_what_is_not_utf8() -> None:
    (line,) = lines_of([LogChunk(Stream.STDOUT, b"\xff\n")])
    assert line.text == "\N{REPLACEMENT CHARACTER}"
