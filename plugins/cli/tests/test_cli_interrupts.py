"""Ctrl-C: the first stops, the second kills; before there is a bot, it ends the preparation."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from botdock.errors import ContainerError
from botdock_cli.interrupts import SIGNALS, Interrupts, Step, interruptible_stdin
from botdock_cli.main import run
from testbed.waiting import until

PATIENCE = 10.0


class Told(list[str]):
    """What the user was told."""


@pytest.fixture
def told() -> Told:
    return Told()


class FakeExecution:
    """Notes that it was stopped, and that it was killed."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.killed = threading.Event()
        self.stop: Callable[[], object] = self.stopped.set
        self.kill = self.killed.set


def press(number: int = signal.SIGINT) -> None:
    """Send ourselves a signal; Python runs its handler before the next line."""
    os.kill(os.getpid(), number)


def test_the_first_signal_stops_and_the_second_kills(told: Told) -> None:
    execution: Any = FakeExecution()
    with Interrupts(told.append) as interrupts:
        interrupts.adopt(execution)
        press()
        assert execution.stopped.wait(PATIENCE)
        assert not execution.killed.is_set()
        press()
        assert execution.killed.wait(PATIENCE)
    assert told == ["stopping the bot; once more kills it"]


def test_a_stop_that_takes_its_time_does_not_delay_the_kill(told: Told) -> None:
    execution: Any = FakeExecution()
    execution.stop = lambda: execution.killed.wait(PATIENCE) and execution.stopped.set()
    with Interrupts(told.append) as interrupts:
        interrupts.adopt(execution)
        press(signal.SIGTERM)
        press(signal.SIGTERM)
        assert execution.stopped.wait(PATIENCE)


def test_a_stop_for_another_reason_says_nothing(told: Told) -> None:
    execution: Any = FakeExecution()
    with Interrupts(told.append) as interrupts:
        interrupts.adopt(execution)
        interrupts.stop()
        assert execution.stopped.wait(PATIENCE)
    assert told == []


def test_a_stop_that_fails_is_told(told: Told) -> None:
    execution: Any = FakeExecution()

    def fail() -> None:
        try:
            raise ContainerError("the daemon is gone")
        finally:
            execution.stopped.set()

    execution.stop = fail
    with Interrupts(told.append) as interrupts:
        interrupts.adopt(execution)
        press()
        assert execution.stopped.wait(PATIENCE)
        press()
        assert execution.killed.wait(PATIENCE)
    assert "the bot could not be stopped: the daemon is gone" in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_before_there_is_an_execution_a_signal_ends_the_preparation(number: int, code: int, told: Told) -> None:
    with Interrupts(told.append) as interrupts:
        with pytest.raises(KeyboardInterrupt):
            press(number)
        assert interrupts.exit_code == code


def test_cleaning_up_is_not_interrupted_by_a_second_signal_but_by_a_third(told: Told) -> None:
    with Interrupts(told.append):
        with pytest.raises(KeyboardInterrupt):
            press()
        press()
        assert told == ["cleaning up; a moment"]
        with pytest.raises(KeyboardInterrupt):
            press()


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_one_more_while_python_ends_is_not_shown_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["botdock", "--version"])
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            run()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_our_parent_wants_ignored_stays_ignored(told: Told) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(told.append) as interrupts:
            press(signal.SIGHUP)
        assert interrupts.signal_number is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def three_steps(acted: Any) -> list[Step]:
    return [
        Step("really?", asks=True),
        Step("stopping", lambda: acted.put("stop")),
        Step(act=lambda: acted.put("kill")),
    ]


def test_ctrl_c_is_asked_first_where_much_would_end(told: Told) -> None:
    acted: SimpleQueue[str] = SimpleQueue()
    with Interrupts(told.append) as interrupts:
        interrupts.lead(*three_steps(acted))
        for _ in range(4):
            press()
        assert [acted.get(timeout=PATIENCE) for _ in range(3)] == ["stop", "kill", "kill"]
    assert told == ["really?", "stopping"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_service_manager_is_not_asked(number: int, told: Told) -> None:
    acted: SimpleQueue[str] = SimpleQueue()
    with Interrupts(told.append) as interrupts:
        interrupts.lead(*three_steps(acted))
        press(number)
        assert acted.get(timeout=PATIENCE) == "stop"
    assert told == ["stopping"]


def test_a_read_of_stdin_is_ended_by_a_signal_that_does_not_interrupt_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that comes just before the read blocks: here another thread takes it."""
    reading, writing = os.pipe()
    main_thread = Path(f"/proc/self/task/{threading.get_native_id()}/stat")

    def take_it() -> None:
        until(lambda: main_thread.read_text().rpartition(")")[2].split()[0] == "S", timeout=PATIENCE)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.raise_signal(signal.SIGINT)

    more = threading.Timer(PATIENCE, os.write, (writing, b"late"))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with open(reading) as stdin:  # noqa: PTH123 - a descriptor
            monkeypatch.setattr(sys, "stdin", stdin)
            more.start()
            threading.Thread(target=take_it, daemon=True).start()
            with interruptible_stdin() as source, pytest.raises(KeyboardInterrupt):
                source.read(4)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        more.cancel()
        os.close(writing)
    assert signal.set_wakeup_fd(-1) == -1
