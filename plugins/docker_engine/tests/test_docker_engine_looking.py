"""A look at a log of which one stream has nothing left that is stored: the other one tells where it stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from botdock.model import LogCursor, Stream
from botdock_engine_docker.looking import Look

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND
STORED = LogCursor(
    stdout=1_000_000,
    stderr=1000,
    first_ns=BEGIN - 10 * SECOND,
    last_ns=BEGIN,
    stdout_tail=b"one line\nanother line\n",
    stderr_tail=b"a warning\n",
)


def frame(stream: Stream, time_ns: int, line: bytes) -> bytes:
    moment = datetime.fromtimestamp(time_ns // SECOND, UTC)
    payload = f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND:09}Z ".encode() + line
    return bytes([2 if stream is Stream.STDERR else 1, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(("begins", "lost"), [(BEGIN - SECOND, set()), (BEGIN + SECOND // 10, {Stream.STDERR})])
def test_what_came_after_the_stored_bytes_may_be_rotated_away_before_older_lines_of_the_other_stream(
    begins: int, lost: set[Stream]
) -> None:
    """Docker reads each stream at its own pace: lines of stdout may be logged after lines of stderr that came later."""
    look = Look(STORED)
    look.feed(frame(Stream.STDOUT, begins, b"one line\n"))
    look.feed(frame(Stream.STDOUT, begins + 1, b"another line\n"))
    look.feed(frame(Stream.STDERR, BEGIN + SECOND, b"a later warning\n"))
    plan = look.finish(patient=False)
    assert plan is not None
    assert dict(plan.skip) == {Stream.STDOUT: 22, Stream.STDERR: 0}
    assert {gap.stream for gap in plan.lost} == lost
