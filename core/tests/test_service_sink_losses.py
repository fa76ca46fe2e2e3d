"""What sinks lose is told in botdock's own log, seldom and without waiting for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from loguru import logger

import botdock.logging
from botdock.model import LogLine, LogSource, Stream
from botdock.services.log_sinks import SinkFanOut
from botdock_testing._sinks import Raising, Stuck
from testbed.waiting import until

ONE = LogSource(execution_id="01", id="bot", runtime="bash")


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    sink = Stuck()
    yield sink
    sink.let_go.set()


@pytest.fixture
def warnings() -> Iterator[list[tuple[str, dict[str, object]]]]:
    """What botdock's own log says."""
    found: list[tuple[str, dict[str, object]]] = []
    handler = logger.add(lambda message: found.append((message.record["message"], message.record["extra"])))
    botdock.logging.enable()
    yield found
    botdock.logging.disable()
    logger.remove(handler)


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(Stream.STDOUT, text.encode()) for text in texts]


def test_losses_are_told_once_an_interval_with_their_sums(warnings: list[tuple[str, dict[str, object]]]) -> None:
    sink = Raising(ValueError("s3cret {braces}"))
    fan_out = SinkFanOut({"raising": sink}, capacity=10, warn_interval=3600.0)
    fan_out.offer(ONE, lines("bad"))
    until(lambda: len(warnings) == 1)
    for _ in range(20):
        fan_out.offer(ONE, lines("bad", "bad"))
        until(lambda: fan_out.counts()["raising"].waiting == 0)
    assert len(warnings) == 1
    fan_out.close()
    (message, first), (_, rest) = warnings
    assert message == "a log sink loses lines"
    assert first["sink"] == "raising"
    assert (first["dropped"], first["errors"]) in {(1, 1), (0, 1)}  # told between the error and its line
    assert sum(int(str(one["dropped"])) for one in (first, rest)) == 41
    assert "ValueError at " in str(rest["last_error"])
    assert "s3cret" not in repr(warnings)


def test_losses_after_a_silence_are_told_again(warnings: list[tuple[str, dict[str, object]]]) -> None:
    fan_out = SinkFanOut({"raising": Raising(ValueError())}, capacity=10, warn_interval=0.01)
    for number in range(1, 4):
        fan_out.offer(ONE, lines("bad"))
        until(lambda number=number: sum(int(str(one["dropped"])) for _, one in warnings) == number)  # type: ignore[misc]  # mypy knows no type of a default
    fan_out.close()


def test_a_sink_that_did_not_finish_is_named(stuck: Stuck, warnings: list[tuple[str, dict[str, object]]]) -> None:
    fan_out = SinkFanOut({"stuck": stuck}, capacity=10, close_timeout=0.05)
    fan_out.offer(ONE, lines("a", "b"))
    fan_out.close()
    ((message, extra),) = warnings
    assert message == "a log sink did not finish in time"
    assert extra == {"sink": "stuck", "dropped": 2, "errors": 0}


def test_botdock_s_own_log_may_be_stuck_in_the_sink_that_loses_lines(stuck: Stuck) -> None:
    """The sink may hold a lock of the very handler that is to tell of it."""
    handler = logger.add(lambda _message: stuck.wait("write"))
    botdock.logging.enable()
    fan_out = SinkFanOut({"stuck": stuck}, capacity=1, close_timeout=0.05)
    started = time.monotonic()
    for _ in range(100):
        fan_out.offer(ONE, lines("a", "b", "c"))
    assert time.monotonic() - started < 5.0
    fan_out.close()
    assert time.monotonic() - started < 10.0
    stuck.let_go.set()
    botdock.logging.disable()
    logger.remove(handler)
