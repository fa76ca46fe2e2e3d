"""Which entries of a followed log are doubted, and how those that are new are joined."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import LogChunk, Stream
from botdock_engine_docker.delivery import TOGETHER_NS, FollowWatch, Joiner

SECOND = 10**9
OPENED = 1_700_000_000 * SECOND
OUT, ERR = Stream.STDOUT, Stream.STDERR
Seen = tuple[Stream, float, float]
"""Stream, and seconds since the log was opened at which an entry was written and read."""


def doubted(*seen: Seen, ahead: float = 0.0) -> list[bool]:
    watch = FollowWatch(OPENED, ahead_ns=int(ahead * SECOND))
    return [watch.doubts(stream, OPENED + int(at * SECOND), OPENED + int(now * SECOND)) for stream, at, now in seen]


def test_a_leap_over_what_a_late_reader_missed_is_doubted() -> None:
    assert doubted((OUT, 1.0, 1.001), (OUT, 2.0, 12.0), (OUT, 2.0001, 12.0), (OUT, 7.0, 12.0)) == [False] * 3 + [True]


def test_an_entry_that_comes_again_is_doubted() -> None:
    assert doubted((OUT, 1.0, 1.0), (OUT, 1.001, 1.01), (OUT, 1.0, 1.01)) == [False, False, True]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param([(OUT, 1.0, 1.01), (OUT, 3600.0, 3600.01), (OUT, 7200.0, 7200.01)], id="a silent bot"),
        pytest.param([(OUT, -900.0, 0.1), (OUT, -30.0, 0.1), (OUT, 0.5, 0.6)], id="what was there before"),
        pytest.param([(OUT, 1.0, 9.0), (OUT, 1.01, 9.0), (OUT, 1.02, 9.0)], id="a late reader, and nothing between"),
        pytest.param([(OUT, 1.0, 1.1), (ERR, 0.999, 1.1), (OUT, 1.001, 1.1)], id="the streams are out of order"),
        pytest.param([(OUT, 11.0, 11.0), (OUT, 1.0, 1.0), (OUT, 2.0, 2.0)], id="the clock is set back"),
    ],
)
def test_what_is_in_order_is_not_doubted(seen: list[Seen]) -> None:
    assert not any(doubted(*seen))


def test_a_leap_is_doubted_though_each_entry_since_the_log_was_opened_came_late() -> None:
    assert doubted((OUT, -1.0, 0.1), (OUT, 1.0, 8.0), (OUT, 1.1, 8.0)) == [False, False, True]


@pytest.mark.parametrize("ahead", [7.0, -7.0])
def test_a_daemon_with_another_clock_is_not_doubted_for_it(ahead: float) -> None:
    in_order = [(OUT, at - ahead, at + 0.3) for at in (1.0, 2.0, 3.0)]
    assert not any(doubted(*in_order, ahead=ahead))
    assert doubted((OUT, 1 - ahead, 1.1), (OUT, 1.1 - ahead, 9.0), (OUT, 2 - ahead, 9.0), ahead=ahead)[-1]


def test_neighbours_of_one_stream_are_joined() -> None:
    joiner = Joiner()
    for number, (stream, data) in enumerate(
        [(Stream.STDOUT, b"a"), (Stream.STDOUT, b"b"), (Stream.STDERR, b""), (Stream.STDERR, b"c")], start=1
    ):
        joiner.add(stream, data, number)
    assert joiner.take() == [LogChunk(Stream.STDOUT, b"ab", 1), LogChunk(Stream.STDERR, b"c", 4)]
    assert joiner.take() == []


def test_what_is_apart_in_time_stays_so() -> None:
    joiner = Joiner()
    joiner.add(Stream.STDOUT, b"a", 1)
    joiner.add(Stream.STDOUT, b"b", 2 + TOGETHER_NS)
    assert [chunk.data for chunk in joiner.take()] == [b"a", b"b"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=5), st.integers(0, 9 * TOGETHER_NS)), max_size=30)
)
def test_joining_changes_no_byte(added: list[tuple[Stream, bytes, int]]) -> None:
    joiner = Joiner()
    for stream, data, time_ns in added:
        joiner.add(stream, data, time_ns)
    chunks = joiner.take()
    assert all(chunk.data for chunk in chunks)
    for stream in Stream:
        whole = b"".join(data for kind, data, _ in added if kind is stream)
        assert b"".join(chunk.data for chunk in chunks if chunk.stream is stream) == whole
