"""Which entries of a followed log are doubted, and which are not."""

from __future__ import annotations

import pytest

from botdock.model import Stream
from botdock_engine_docker.following import FollowWatch

SECOND = 10**9
OPENED = 1_700_000_000 * SECOND
OUT, ERR = Stream.STDOUT, Stream.STDERR
Seen = tuple[Stream, float, float]
"""Stream, and seconds since the log was opened at which an entry was written and read."""


def doubted(*seen: Seen) -> list[bool]:
    watch = FollowWatch(OPENED)
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
        pytest.param([(OUT, 1.0, 8.0), (OUT, 2.0, 9.0), (OUT, 3.0, 10.0)], id="another clock than ours"),
    ],
)
def test_what_is_in_order_is_not_doubted(seen: list[Seen]) -> None:
    assert not any(doubted(*seen))
