"""The bot's bytes, out of what Docker's log API makes of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import Stream
from botdock_engine_docker.entries import FULL_FRAME, LineMender, read_timestamp

lines = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 50), st.sampled_from([FULL_FRAME - 1, FULL_FRAME, FULL_FRAME + 1, 3 * FULL_FRAME])),
        st.booleans(),
    ),
    max_size=6,
)


def entries(text: bytes, *, keeps: bool) -> list[tuple[int, bytes]]:
    """Return the entries that Docker's log copier makes of `text`, as the driver `local` gives them back.

    The copier is that of Docker 20.10 to 28; `keeps` is whether the driver keeps the newline after a split line.
    """
    made = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        body = line.removesuffix(b"\n")
        rest = body
        while len(rest) >= FULL_FRAME:
            made.append((number, rest[:FULL_FRAME]))
            rest = rest[FULL_FRAME:]
        split = len(body) >= FULL_FRAME
        if line.endswith(b"\n"):
            made.append((number, rest + (b"" if split and not keeps else b"\n")))
        elif rest:
            made.append((number, rest))
    return made


def mended(text: bytes, *, keeps: bool) -> bytes:
    mender = LineMender()
    return b"".join(mender.mend(Stream.STDOUT, number, data) for number, data in entries(text, keeps=keeps))


@settings(deadline=None)
@given(lines, st.binary(max_size=20))
def test_what_a_daemon_that_drops_newlines_lost_is_put_back(written: list[tuple[int, bool]], tail: bytes) -> None:
    text = b"".join(b"x" * size + b"\n" for size, _ in written) + tail.replace(b"\r", b"")
    assert mended(text, keeps=False) == text


@settings(deadline=None)
@given(lines, st.binary(max_size=20))
def test_nothing_is_added_where_nothing_was_dropped(written: list[tuple[int, bool]], tail: bytes) -> None:
    text = b"".join(b"x" * size + b"\n" for size, _ in written) + tail.replace(b"\r", b"")
    assert mended(text, keeps=True) == text


def test_a_daemon_that_was_seen_to_keep_newlines_is_believed() -> None:
    text = b"a" * 20_000 + b"\n" + b"b" * 20_000
    assert mended(text, keeps=True) == text


def test_the_streams_are_mended_apart() -> None:
    mender = LineMender()
    assert mender.mend(Stream.STDOUT, 1, b"x" * FULL_FRAME) == b"x" * FULL_FRAME
    assert mender.mend(Stream.STDERR, 1, b"no newline") == b"no newline"
    assert mender.mend(Stream.STDOUT, 1, b"end") == b"end\n"


@settings(deadline=None)
@given(st.integers(86_400, 7_000_000_000), st.integers(0, 10**9 - 1), st.binary())
def test_a_timestamp_is_read_to_the_nanosecond(seconds: int, nanos: int, data: bytes) -> None:
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09}Z"
    time_ns, rest = read_timestamp(text.encode() + b" " + data)
    assert (time_ns, rest) == (seconds * 10**9 + nanos, data)


@pytest.mark.parametrize("payload", [b"", b"hello world", b"2026-01-02T03:04:05.x x", b"2026-99-02Tx:04:05.1Z x"])
def test_what_has_no_timestamp_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_timestamp(payload)
