"""Sinks get every line in order, and can hold up nobody."""

import threading
from collections.abc import Sequence

import pytest

from botdock.model import LogLine, LogSink, LogSource, Stream
from botdock.services import sinks as module
from botdock.services.sinks import SinkFanOut

ONE = LogSource(execution_id="01", id="bot", runtime="bash")
TWO = LogSource(execution_id="02", id="bot", runtime="bash")


class Recording(LogSink):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.closed = False

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.lines += [(source.execution_id, line.text) for line in lines]

    def close(self) -> None:
        self.closed = True


class Stuck(LogSink):
    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        self.entered.set()
        self.let_go.wait(30)

    def close(self) -> None:
        pass


class Raising(LogSink):
    def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
        raise RuntimeError("full")

    def close(self) -> None:
        raise RuntimeError("still full")


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(Stream.STDOUT, text.encode()) for text in texts]


def test_lines_arrive_in_order_with_their_source() -> None:
    sink = Recording()
    fan_out = SinkFanOut({"recording": sink}, capacity=100)
    fan_out.offer(ONE, lines("a", "b"))
    fan_out.offer(TWO, lines("c"))
    fan_out.close()
    assert sink.lines == [("01", "a"), ("01", "b"), ("02", "c")]
    assert sink.closed
    assert fan_out.counts()["recording"].delivered == 3


def test_a_stuck_sink_drops_and_counts_while_the_other_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    stuck, recording = Stuck(), Recording()
    fan_out = SinkFanOut({"stuck": stuck, "recording": recording}, capacity=2)
    fan_out.offer(ONE, lines("taken"))
    assert stuck.entered.wait(10)
    fan_out.offer(ONE, lines("q1", "q2"))
    fan_out.offer(ONE, lines("lost1", "lost2"))
    assert fan_out.counts()["stuck"].dropped == 2
    fan_out.close()
    stuck.let_go.set()
    assert fan_out.counts()["recording"].delivered + fan_out.counts()["recording"].dropped == 5


def test_a_sink_that_raises_is_counted_and_closed_all_the_same() -> None:
    fan_out = SinkFanOut({"raising": Raising()}, capacity=10)
    fan_out.offer(ONE, lines("a", "b"))
    fan_out.close()
    counts = fan_out.counts()["raising"]
    assert (counts.delivered, counts.dropped, counts.errors) == (0, 2, 2)


def test_no_sink_is_false() -> None:
    assert not SinkFanOut({}, capacity=1)
