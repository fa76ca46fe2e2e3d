"""Frames, however the connection cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import Stream
from botdock_engine_docker.frames import FrameDecoder, FrameError

streams = st.sampled_from([(1, Stream.STDOUT), (2, Stream.STDERR)])
frames = st.lists(st.tuples(streams, st.binary(max_size=40)), max_size=20)


def encode(number: int, payload: bytes) -> bytes:
    return bytes([number, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def read(decoder: FrameDecoder, piece: bytes) -> list[tuple[Stream, bytes]]:
    return [(stream, payload) for stream, payloads in decoder.feed(piece) for payload in payloads]


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
    found = [frame for piece in cut(data, sizes) for frame in read(decoder, piece)]
    assert found == [(stream, payload) for (_, stream), payload in written]
    assert not decoder.within_frame


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=20))
def test_a_frame_whose_end_is_missing_is_seen(payload: bytes) -> None:
    decoder = FrameDecoder()
    assert read(decoder, encode(1, payload)[:-1]) == []
    assert decoder.within_frame


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_frames_are_refused_or_wait(data: bytes) -> None:
    decoder = FrameDecoder()
    try:
        for _, payload in read(decoder, data):
            assert payload in data
    except FrameError:
        pass


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n", encode(1, b"")[:4] + b"\xff\xff\xff\xff"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError, match="not a frame of a log"):
        FrameDecoder().feed(data)


def test_the_daemons_own_trouble_is_repeated() -> None:
    with pytest.raises(FrameError, match="the daemon says: error from daemon in stream"):
        FrameDecoder().feed(encode(3, b"error from daemon in stream\n"))
