"""Sinks get every line in order, and hold up neither bots nor each other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.model import LogLine, LogSource, Stream
from botdock.services.log_sinks import SinkCounts, SinkFanOut
from botdock_testing._sinks import Raising, Recording, Stuck
from testbed.waiting import until

ONE = LogSource(execution_id="01", id="bot", runtime="bash")
TWO = LogSource(execution_id="02", id="bot", runtime="bash")


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    sink = Stuck()
    yield sink
    sink.let_go.set()


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(Stream.STDOUT, text.encode()) for text in texts]


def test_lines_arrive_in_order_with_their_source() -> None:
    sink = Recording()
    fan_out = SinkFanOut({"recording": sink}, capacity=100)
    fan_out.offer(ONE, lines("a", "b"))
    fan_out.offer(TWO, lines("c"))
    fan_out.offer(ONE, lines("d"))
    fan_out.close()
    assert sink.lines == [("01", "a"), ("01", "b"), ("02", "c"), ("01", "d")]
    assert sink.closed == 1
    assert fan_out.counts() == {"recording": SinkCounts(delivered=4)}


def test_a_stuck_sink_drops_and_counts_while_the_other_gets_everything(stuck: Stuck) -> None:
    recording = Recording()
    fan_out = SinkFanOut({"stuck": stuck, "recording": recording}, capacity=2, close_timeout=0.05)
    fan_out.offer(ONE, lines("taken"))
    assert stuck.entered.wait(10)
    until(lambda: len(recording.lines) == 1)
    fan_out.offer(ONE, lines("q1", "q2"))
    until(lambda: len(recording.lines) == 3)
    fan_out.offer(ONE, lines("lost1", "lost2"))
    until(lambda: len(recording.lines) == 5)
    assert fan_out.counts() == {"stuck": SinkCounts(waiting=3, dropped=2), "recording": SinkCounts(delivered=5)}
    fan_out.close()
    assert fan_out.counts()["stuck"] == SinkCounts(dropped=5)


def test_what_a_stuck_sink_takes_after_it_was_given_up_is_not_counted_twice(stuck: Stuck) -> None:
    fan_out = SinkFanOut({"stuck": stuck}, capacity=10, close_timeout=0.05)
    fan_out.offer(ONE, lines("a", "b"))
    assert stuck.entered.wait(10)
    fan_out.offer(ONE, lines("c"))
    fan_out.close()
    fan_out.offer(ONE, lines("too late"))
    stuck.let_go.set()
    until(lambda: stuck.closed == 1)  # it is closed all the same, once its last write has returned
    assert stuck.lines == [("01", "a"), ("01", "b")]
    assert fan_out.counts()["stuck"] == SinkCounts(dropped=4)


@pytest.mark.parametrize("where", ["write", "close"])
def test_many_hung_sinks_take_the_time_of_one(where: str) -> None:
    sinks = {f"hung-{number}": Stuck(where=where) for number in range(20)}
    recording = Recording()
    fan_out = SinkFanOut({**sinks, "recording": recording}, capacity=10, close_timeout=0.3)
    fan_out.offer(ONE, lines("a"))
    started = time.monotonic()
    fan_out.close()
    assert time.monotonic() - started < 3.0  # twenty times the bound are 6 s
    assert recording.lines == [("01", "a")]
    again = time.monotonic()
    fan_out.close()
    assert time.monotonic() - again < 0.25
    for sink in sinks.values():
        sink.let_go.set()


@pytest.mark.parametrize(
    "error", [RuntimeError("full"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration()], ids=repr
)
def test_whatever_a_sink_raises_it_is_counted_and_gets_the_next_lines(error: BaseException) -> None:
    sink = Raising(error)
    fan_out = SinkFanOut({"raising": sink}, capacity=10)
    fan_out.offer(ONE, lines("bad", "lost with it"))
    until(lambda: fan_out.counts()["raising"].errors == 1)
    fan_out.offer(ONE, lines("good"))
    fan_out.close()
    assert sink.lines == [("01", "good")]
    assert sink.closed == 1
    assert fan_out.counts()["raising"] == SinkCounts(delivered=1, dropped=2, errors=2)


def test_a_sink_that_spoils_its_list_spoils_no_other_s() -> None:
    class Greedy(Recording):
        def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
            assert isinstance(lines, list)
            lines.clear()

    recording = Recording()
    fan_out = SinkFanOut({"greedy": Greedy(), "recording": recording}, capacity=10)
    fan_out.offer(ONE, lines("a", "b"))
    fan_out.close()
    assert recording.lines == [("01", "a"), ("01", "b")]
    assert fan_out.counts()["greedy"] == SinkCounts(delivered=2)


def test_bytes_are_bounded_as_lines_are(stuck: Stuck) -> None:
    fan_out = SinkFanOut({"stuck": stuck}, capacity=10_000, capacity_bytes=1000, close_timeout=0.05)
    fan_out.offer(ONE, lines("taken"))
    assert stuck.entered.wait(10)
    fan_out.offer(ONE, lines(*["x" * 300] * 5))
    assert fan_out.counts()["stuck"] == SinkCounts(waiting=4, dropped=2)
    fan_out.offer(ONE, lines("y" * 100, "z"))  # there is room for a small one still, and then for none
    assert fan_out.counts()["stuck"] == SinkCounts(waiting=5, dropped=3)
    fan_out.close()


def test_the_room_of_what_was_delivered_is_free_again() -> None:
    sink = Recording()
    fan_out = SinkFanOut({"sink": sink}, capacity=1, capacity_bytes=10)
    for number in range(50):
        fan_out.offer(ONE, lines(f"{number:010}"))
        until(lambda: fan_out.counts()["sink"].waiting == 0)
    fan_out.close()
    assert fan_out.counts()["sink"] == SinkCounts(delivered=50)


@settings(deadline=None, max_examples=40)
@given(
    offers=st.lists(st.lists(st.sampled_from(["a", "bad", "c" * 40]), max_size=6), max_size=12),
    capacity=st.integers(1, 8),
    capacity_bytes=st.integers(1, 200),
)
def test_every_line_offered_is_delivered_or_dropped(
    offers: list[list[str]], capacity: int, capacity_bytes: int
) -> None:
    sink = Raising(ValueError("bad"))
    told: list[tuple[str, bool, int]] = []
    fan_out = SinkFanOut(
        {"sink": sink},
        capacity=capacity,
        capacity_bytes=capacity_bytes,
        on_operation=lambda *operation: told.append(operation),
    )
    for offer in offers:
        fan_out.offer(ONE, lines(*offer))
        counts = fan_out.counts()["sink"]
        assert counts.waiting >= 0
    fan_out.close()
    fan_out.offer(ONE, lines("late"))
    counts = fan_out.counts()["sink"]
    assert counts.delivered + counts.dropped == sum(map(len, offers)) + 1
    assert counts.delivered == len(sink.lines)
    offered = sum(len(text) for offer in offers for text in offer) + len("late")
    assert sum(size for _, _, size in told) == offered
    assert sum(size for name, success, size in told if success) == sum(len(text) for _, text in sink.lines)


def test_a_sink_that_closes_its_own_runner_does_not_wait_for_itself() -> None:
    closed = threading.Event()

    class Closing(Recording):
        def write(self, source: LogSource, lines: Sequence[LogLine]) -> None:
            fan_out.close()
            closed.set()

    fan_out = SinkFanOut({"closing": Closing()}, capacity=10)
    fan_out.offer(ONE, lines("a"))
    assert closed.wait(10)


PROGRAM = """
import os, sys, threading
from botdock.model import LogLine, LogSink, LogSource, Stream
from botdock.services.log_sinks import SinkFanOut

class Hung(LogSink):
    def write(self, source, lines): entered.set(); threading.Event().wait()
    def close(self): pass

entered = threading.Event()
fan_out = SinkFanOut({"hung": Hung()}, capacity=1)
offer = lambda: fan_out.offer(LogSource(execution_id="01", id="b", runtime="r"), [LogLine(Stream.STDOUT, b"x")])
offer()
entered.wait()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=30, check=False
    )


def test_a_hung_sink_does_not_keep_its_process_alive() -> None:
    done = run("print('the end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_has_no_sinks_and_does_not_hang() -> None:
    done = run("""
with fan_out._threads["hung"]._changed:  # as some thread may hold it in the moment of the fork
    child = os.fork()
if child == 0:
    offer(); print(fan_out.counts(), flush=True); fan_out.close(); os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert (done.stdout, done.stderr) == ("{}\n7\n", "")


def test_counts_do_not_change_in_one_s_hands() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        SinkCounts().dropped = 1  # type: ignore[misc]  # this is what is tested
