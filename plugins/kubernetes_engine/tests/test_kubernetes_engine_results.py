"""A result, out of the log that carries it: whole, or an error."""

from __future__ import annotations

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_engine_kubernetes.results import cksum, parse


def printed(result: bytes, encoding: str = "gzip", *, width: int = 16_000) -> bytes:
    """Return what `result.sh` prints."""
    packed = gzip.compress(result) if encoding == "gzip" else result
    text = base64.b64encode(packed)
    lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
    return f"botdock-result 1 {len(result)} {cksum(result)} {encoding}\n".encode() + lines + b"end\n"


@given(st.binary(max_size=300), st.sampled_from(["gzip", "plain"]), st.integers(1, 80))
def test_what_was_printed_whole_is_read_whole(result: bytes, encoding: str, width: int) -> None:
    assert parse(printed(result, encoding, width=width)) == result


@given(st.binary(max_size=100), st.integers(0, 500), st.sampled_from(["gzip", "plain"]))
def test_what_is_cut_at_either_end_is_refused(result: bytes, cut: int, encoding: str) -> None:
    body = printed(result, encoding)
    for damaged in (body[: cut % len(body)], body[1 + cut % len(body) :]):
        with pytest.raises(ValueError, match=r"cut|nothing|printed"):
            parse(damaged)


@given(st.binary(min_size=1, max_size=100), st.integers(0, 10**6), st.sampled_from(["gzip", "plain"]))
def test_what_is_damaged_is_refused_or_the_same(result: bytes, place: int, encoding: str) -> None:
    body = bytearray(printed(result, encoding))
    body[place % len(body)] ^= 1
    try:
        assert parse(bytes(body)) == result
    except ValueError:
        return


def test_what_unpacks_to_more_than_it_says_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * 10_000_000, wbits=31))
    with pytest.raises(ValueError, match="damaged"):
        parse(b"botdock-result 1 5 0 gzip\n" + bomb + b"\nend\n")


@pytest.mark.parametrize(("data", "expected"), [(b"", 4294967295), (b"hello\n", 3015617425), (b"\0" * 300, 351385237)])
def test_the_checksum_is_that_of_cksum(data: bytes, expected: int) -> None:
    assert cksum(data) == expected
