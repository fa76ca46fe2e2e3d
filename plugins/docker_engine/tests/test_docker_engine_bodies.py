"""Answers of HTTP, and where their bodies end."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_engine_docker.bodies import Answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
payloads = st.lists(st.binary(min_size=1, max_size=50), max_size=15)


def chunked(payload: list[bytes], extension: bytes = b"") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in [*payload, b""])


def feed(data: bytes, size: int = 4096, *, method: str = "GET") -> tuple[Answer, bytes]:
    answer = Answer(method)
    return answer, b"".join(answer.feed(data[start : start + size]) for start in range(0, len(data), size))


@given(payloads, st.integers(1, 200), st.sampled_from([b"", b";name=value"]))
def test_chunks_are_joined_however_they_are_cut(payload: list[bytes], size: int, extension: bytes) -> None:
    answer, body = feed(CHUNKED + chunked(payload, extension), size)
    assert (answer.status, body, answer.ended) == (200, b"".join(payload), True)
    answer.finish()


@given(payloads, st.data())
def test_chunks_that_are_cut_off_are_seen(payload: list[bytes], data: st.DataObject) -> None:
    whole = chunked(payload)
    answer, _ = feed(CHUNKED + whole[: data.draw(st.integers(0, whole.rindex(b"0\r\n")))])
    with pytest.raises(http.client.IncompleteRead):
        answer.finish()


@pytest.mark.parametrize("data", [b"no length\r\n", b"5" * 2000, b"\r\n\r\n"])
def test_what_is_not_a_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|literal"):
        feed(CHUNKED + data)


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(1, 200))
def test_a_body_with_a_size_takes_what_is_its_own(data: bytes, size: int, piece: int) -> None:
    answer, body = feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (size, data), piece)
    assert (answer.status, body, answer.ended) == (404, data[:size], len(data) >= size)


@pytest.mark.parametrize("head", [b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade", b"HTTP/1.0 200 OK"])
def test_a_body_without_a_size_ends_with_the_connection(head: bytes) -> None:
    answer, body = feed(head + b"\r\n\r\nabc")
    assert (body, answer.ended) == (b"abc", False)
    answer.finish()
    assert answer.ended


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 12"),
        ("POST", b"HTTP/1.1 304 Not Modified"),
        ("POST", b"HTTP/1.1 204 No"),
    ],
)
def test_what_has_no_body_has_ended(method: str, head: bytes) -> None:
    answer, _ = feed(head + b"\r\n\r\n", method=method)
    assert answer.ended


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH", b"", b"HTTP/1.1 abc", b"HTTP/2 200"])
def test_what_is_not_http_is_refused(head: bytes) -> None:
    with pytest.raises(http.client.BadStatusLine):
        feed(head + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "kind"), [(b"HTTP/1.1 200", http.client.RemoteDisconnected), (b"SSH-2.0", http.client.BadStatusLine)]
)
def test_a_head_that_is_cut_off_is_no_answer(data: bytes, kind: type[Exception]) -> None:
    answer, _ = feed(data)
    assert not answer.begun
    with pytest.raises(kind):
        answer.finish()


def test_a_head_that_does_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="headers do not end"):
        Answer().feed(b"x" * 70_000)
