"""From chunks to lines."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from itertools import cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdock.model import LogChunk, LogLine, Stream
from botdock.services import lines as module
from botdock.services.lines import MAX_PIECE, LineSplitter, last_text, lines_of

PIECE = 5
"""Bytes of a piece in the property tests: so small that lines are often longer."""
DATA = st.text("ab\n\r", min_size=1, max_size=24).map(str.encode)
CHUNKS = st.lists(st.builds(LogChunk, st.sampled_from(Stream), DATA, st.integers(1, 99)), max_size=12)


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """Let pieces be as small as `PIECE`; those tests that need real ones use `MAX_PIECE`, which is the real size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PIECE", PIECE)
        yield


@pytest.fixture
def real_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIECE", MAX_PIECE)


def model(chunks: list[LogChunk]) -> dict[Stream, list[LogLine]]:
    """What the lines are, byte by byte."""
    made: dict[Stream, list[LogLine]] = {stream: [] for stream in Stream}
    for stream, lines in made.items():
        held, since = b"", 0
        for byte, now in ((byte, chunk.time_ns) for chunk in chunks if chunk.stream is stream for byte in chunk.data):
            if not held:
                since = now if not lines or lines[-1].complete else since
            if byte == ord("\n"):
                lines.append(LogLine(stream, held, since))
                held = b""
                continue
            if len(held) == PIECE:
                lines.append(LogLine(stream, held, since, complete=False))
                held = b""
            held += bytes([byte])
        if held:
            lines.append(LogLine(stream, held, since, complete=False))
    return made


def by_stream(lines: list[LogLine]) -> dict[Stream, list[LogLine]]:
    return {stream: [line for line in lines if line.stream is stream] for stream in Stream}


@given(chunks=CHUNKS)
@example(chunks=[LogChunk(Stream.STDOUT, b"a" * PIECE, 1), LogChunk(Stream.STDOUT, b"\n", 2)])
@example(chunks=[LogChunk(Stream.STDOUT, b"a" * PIECE * 2, 1), LogChunk(Stream.STDOUT, b"b\n\n", 2)])
def test_lines_are_what_a_reader_byte_by_byte_would_find(chunks: list[LogChunk]) -> None:
    assert by_stream(list(lines_of(chunks))) == model(chunks)


@given(chunks=CHUNKS, data=st.data())
def test_where_a_chunk_ends_makes_no_difference(chunks: list[LogChunk], data: st.DataObject) -> None:
    smaller = []
    for chunk in chunks:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(chunk.data)), max_size=4)) | {len(chunk.data)})
        starts = [0, *cuts[:-1]]
        smaller += [
            LogChunk(chunk.stream, chunk.data[start:end], chunk.time_ns)
            for start, end in zip(starts, cuts, strict=True)
        ]
    assert by_stream(list(lines_of(smaller))) == by_stream(list(lines_of(chunks)))


@given(before=CHUNKS, after=CHUNKS)
def test_a_splitter_that_takes_over_goes_on_with_whole_lines(before: list[LogChunk], after: list[LogChunk]) -> None:
    """The first dies, and nothing is known of it but what was stored and when."""
    first = LineSplitter()
    delivered = [line for chunk in before for line in first.feed(chunk)]
    stored = {
        stream: (b"".join(chunk.data for chunk in before if chunk.stream is stream).rpartition(b"\n")[2], since)
        for stream in Stream
        if (since := first.open_since(stream)) is not None
    }
    second = LineSplitter(stored)
    assert [second.open_since(stream) for stream in Stream] == [first.open_since(stream) for stream in Stream]
    delivered += [line for chunk in after for line in second.feed(chunk)]
    assert by_stream(delivered + second.finish()) == by_stream(list(lines_of([*before, *after])))


@given(chunks=CHUNKS)
def test_the_open_line_is_known_with_the_time_of_its_first_byte(chunks: list[LogChunk]) -> None:
    splitter = LineSplitter()
    for chunk in chunks:
        splitter.feed(chunk)
    opened = {stream: splitter.open_since(stream) for stream in Stream}
    rest = {line.stream: line.time_ns for line in splitter.finish()}
    assert opened == {stream: rest.get(stream) for stream in Stream}
    assert [splitter.open_since(stream) for stream in Stream] == [None, None]
    assert splitter.finish() == []


def test_a_line_has_the_time_of_its_first_byte() -> None:
    splitter = LineSplitter()
    assert splitter.feed(LogChunk(Stream.STDOUT, b"be", 1)) == []
    first, second = splitter.feed(LogChunk(Stream.STDOUT, b"gun\nnew\n", 2))
    assert (first.text, first.time_ns) == ("begun", 1)
    assert (second.text, second.time_ns) == ("new", 2)


def test_a_seed_with_a_newline_is_what_comes_after_it() -> None:
    splitter = LineSplitter({Stream.STDERR: (b"ended\nopen", 7)})
    assert splitter.feed(LogChunk(Stream.STDERR, b"\n", 9)) == [LogLine(Stream.STDERR, b"open", 7)]


@pytest.mark.usefixtures("real_pieces")
def test_a_long_line_comes_in_pieces() -> None:
    data = b"x" * (2 * MAX_PIECE + 3)
    lines = list(lines_of([LogChunk(Stream.STDOUT, data), LogChunk(Stream.STDOUT, b"\n")]))
    assert [(len(line.data), line.complete) for line in lines] == [(MAX_PIECE, False), (MAX_PIECE, False), (3, True)]


@pytest.mark.usefixtures("real_pieces")
def test_memory_stays_bounded_over_a_line_that_never_ends() -> None:
    splitter = LineSplitter()
    chunk = LogChunk(Stream.STDOUT, b"x" * 1000, 1)
    tracemalloc.start()
    try:
        pieces = sum(len(splitter.feed(chunk)) for _ in range(20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pieces == 20_000 * 1000 // MAX_PIECE
    assert peak < 8 * MAX_PIECE


@pytest.mark.usefixtures("real_pieces")
def test_a_piece_in_small_chunks_costs_as_the_same_bytes_in_short_lines_do() -> None:
    """What is held is not looked at again; when it was, a line in chunks of 10 bytes took 17 times as long."""

    def seconds(data: bytes) -> float:
        splitter, chunk = LineSplitter(), LogChunk(Stream.STDOUT, data, 1)
        started = time.process_time()
        for _ in range(100_000):
            splitter.feed(chunk)
        return time.process_time() - started

    assert min(seconds(b"x" * 10) for _ in range(3)) < 5 * min(seconds(b"xxxx\nyyyy\n") for _ in range(3))


def test_text_replaces_what_is_not_utf8() -> None:
    (line,) = lines_of([LogChunk(Stream.STDOUT, b"\xff\n")])
    assert line.text == "\N{REPLACEMENT CHARACTER}"


@given(text=st.text(st.sampled_from("aé€😀")), size=st.integers(1, 9))
def test_no_piece_of_a_long_line_cuts_a_character(text: str, size: int) -> None:
    data = text.encode()
    pieces = list(lines_of(LogChunk(Stream.STDOUT, data[at : at + size], 1) for at in range(0, len(data), size)))
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.data) <= PIECE for piece in pieces)
    assert pieces == list(lines_of([LogChunk(Stream.STDOUT, data, 1)]))


@given(
    texts=st.lists(st.tuples(st.sampled_from(Stream), st.text("aé€😀"))),
    cuts=st.lists(st.integers(0, 2), min_size=1),
    size=st.integers(0, 40),
)
def test_the_last_text_of_both_streams_is_whole_characters(
    texts: list[tuple[Stream, str]], cuts: list[int], size: int
) -> None:
    chunks = interleaved({stream: "".join(text for each, text in texts if each == stream) for stream in Stream}, cuts)
    text = last_text(chunks, size)
    total = sum(len(chunk.data) for chunk in chunks)
    assert "\ufffd" not in text
    assert min(size, total) - 3 * len(Stream) <= len(text.encode()) <= size
    assert len(last_text(chunks, total).encode()) == total


def interleaved(texts: dict[Stream, str], cuts: list[int]) -> list[LogChunk]:
    """Return the texts in chunks of a few bytes, by turns."""
    rest, chunks = {stream: text.encode() for stream, text in texts.items()}, []
    for cut, stream in zip(cycle(cuts), cycle(Stream), strict=False):
        chunks.append(LogChunk(stream, rest[stream][: cut + 1], 1))
        rest[stream] = rest[stream][cut + 1 :]
        if not any(rest.values()):
            break
    return chunks


def test_the_last_text_shows_what_the_bot_wrote_that_is_not_utf_8() -> None:
    assert last_text([LogChunk(Stream.STDOUT, b"\xa9 2024 \xff", 1)], 100) == "\ufffd 2024 \ufffd"


def test_a_long_line_that_is_not_utf_8_is_kept_too() -> None:
    data = b"\x80" * (2 * PIECE + 2)
    pieces = [piece.data for piece in lines_of([LogChunk(Stream.STDOUT, data, 1)])]
    assert [len(piece) for piece in pieces] == [PIECE, PIECE, 2]
    assert b"".join(pieces) == data
