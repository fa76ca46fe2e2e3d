"""Frames, however the connection cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import LogChunk, Stream
from botdock_engine_docker.frames import FrameDecoder, FrameError, Joiner

streams = st.sampled_from([(1, Stream.STDOUT), (2, Stream.STDERR)])
frames = st.lists(st.tuples(streams, st.binary(max_size=40)), max_size=20)


def encode(number: int, payload: bytes) -> bytes:
    return bytes([number, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@settings(deadline=None)
@given(frames, st.lists(st.integers(1, 30), max_size=40))
def test_frames_come_out_as_they_went_in(written: list[tuple[tuple[int, Stream], bytes]], sizes: list[int]) -> None:
    decoder = FrameDecoder()
    data = b"".join(encode(number, payload) for (number, _), payload in written)
    read = [(stream, bytes(view)) for piece in cut(data, sizes) for stream, view in decoder.feed(piece)]
    assert read == [(stream, payload) for (_, stream), payload in written]
    assert not decoder.within_frame


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=20))
def test_a_frame_whose_end_is_missing_is_seen(payload: bytes) -> None:
    decoder = FrameDecoder()
    assert list(decoder.feed(encode(1, payload)[:-1])) == []
    assert decoder.within_frame


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_frames_are_refused_or_wait(data: bytes) -> None:
    decoder = FrameDecoder()
    try:
        for _, view in decoder.feed(data):
            assert len(view) <= len(data)
    except FrameError:
        pass


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n", encode(1, b"")[:4] + b"\xff\xff\xff\xff"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError, match="not a frame of a log"):
        list(FrameDecoder().feed(data))


def test_the_daemons_own_trouble_is_repeated() -> None:
    with pytest.raises(FrameError, match="the daemon says: error from daemon in stream"):
        list(FrameDecoder().feed(encode(3, b"error from daemon in stream\n")))


def test_neighbours_of_one_stream_are_joined() -> None:
    joiner = Joiner()
    for number, (stream, data) in enumerate(
        [(Stream.STDOUT, b"a"), (Stream.STDOUT, b"b"), (Stream.STDERR, b""), (Stream.STDERR, b"c")], start=1
    ):
        joiner.add(stream, data, number)
    assert joiner.take() == [LogChunk(Stream.STDOUT, b"ab", 1), LogChunk(Stream.STDERR, b"c", 4)]
    assert joiner.take() == []


def test_what_is_to_be_kept_apart_is() -> None:
    joiner = Joiner()
    joiner.add(Stream.STDOUT, b"a", 1)
    joiner.add(Stream.STDOUT, b"b", 2, apart=True)
    assert [chunk.data for chunk in joiner.take()] == [b"a", b"b"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=5)), max_size=30))
def test_joining_changes_no_byte(added: list[tuple[Stream, bytes]]) -> None:
    joiner = Joiner()
    for stream, data in added:
        joiner.add(stream, data, 0)
    chunks = joiner.take()
    assert all(chunk.data for chunk in chunks)
    for stream in Stream:
        whole = b"".join(data for kind, data in added if kind is stream)
        assert b"".join(chunk.data for chunk in chunks if chunk.stream is stream) == whole
