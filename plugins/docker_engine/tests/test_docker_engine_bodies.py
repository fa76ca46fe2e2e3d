"""Where the body of an answer ends."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock_engine_docker.bodies import Answer, Body, Chunked, Endless, Sized, body_of

payloads = st.lists(st.binary(min_size=1, max_size=50), max_size=15)


def chunked(payload: list[bytes], extension: bytes = b"") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in [*payload, b""])


def feed(body: Body, data: bytes, size: int) -> bytes:
    return b"".join(body.feed(data[start : start + size]) for start in range(0, len(data), size))


@settings(deadline=None)
@given(payloads, st.integers(1, 40), st.sampled_from([b"", b";name=value"]))
def test_chunks_are_joined_however_they_are_cut(payload: list[bytes], size: int, extension: bytes) -> None:
    body = Chunked()
    assert feed(body, chunked(payload, extension), size) == b"".join(payload)
    assert body.ended
    body.finish()


@settings(deadline=None)
@given(payloads, st.data())
def test_chunks_that_are_cut_off_are_seen(payload: list[bytes], data: st.DataObject) -> None:
    whole = chunked(payload)
    last = whole.rindex(b"0\r\n")
    body = Chunked()
    body.feed(whole[: data.draw(st.integers(0, last))])
    with pytest.raises(http.client.IncompleteRead):
        body.finish()


@pytest.mark.parametrize("data", [b"no length\r\n", b"5" * 2000, b"\r\n\r\n"])
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|literal"):
        Chunked().feed(data)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(1, 20))
def test_a_sized_body_takes_what_is_its_own(data: bytes, size: int, piece: int) -> None:
    body = Sized(size)
    assert feed(body, data, piece) == data[:size]
    assert body.ended == (len(data) >= size)


def test_an_endless_body_ends_with_the_connection() -> None:
    body = Endless()
    assert body.feed(b"abc") == b"abc"
    assert not body.ended
    body.finish()
    assert body.ended


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        (b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade", 101, Endless),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", 200, Chunked),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 12", 404, Sized),
        (b"HTTP/1.0 200 OK", 200, Endless),
        (b"HTTP/1.1 304 Not Modified", 304, Sized),
    ],
)
def test_the_head_says_what_the_body_is(head: bytes, status: int, kind: type[Body]) -> None:
    found, body = body_of(head)
    assert (found, type(body)) == (status, kind)


def test_what_answers_head_has_no_body() -> None:
    _, body = body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 12", "HEAD")
    assert body.ended


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH", b"", b"HTTP/1.1 abc", b"HTTP/2 200"])
def test_what_is_no_http_is_refused(head: bytes) -> None:
    with pytest.raises(http.client.BadStatusLine):
        body_of(head)


@settings(deadline=None)
@given(payloads, st.integers(1, 200))
def test_an_answer_is_the_same_however_it_is_cut(payload: list[bytes], size: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(payload)
    answer = Answer()
    body = b"".join(answer.feed(data[start : start + size]) for start in range(0, len(data), size))
    assert (answer.status, body, answer.begun, answer.ended) == (200, b"".join(payload), True, True)
    answer.finish()


def test_an_answer_whose_head_does_not_come_is_none() -> None:
    answer = Answer()
    assert answer.feed(b"HTTP/1.1 200") == b""
    assert not answer.begun
    with pytest.raises(http.client.RemoteDisconnected):
        answer.finish()


def test_an_answer_whose_head_does_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="headers do not end"):
        Answer().feed(b"x" * 70_000)
