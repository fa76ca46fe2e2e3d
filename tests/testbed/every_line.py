"""Tries what may happen at any moment at each of them: at one line of some code after another.

Processes are forked, so a program that uses it for them has no threads of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, TypeVar

from testbed.drills import lines

PATIENCE = 0.02
"""Seconds after which a thread that does not come to its end is taken to wait for the other one."""
SLOW = 10.0
"""Seconds after which the same is said of a process."""
KILLED = -signal.SIGKILL
SHARE = 25
"""Of so many lines, a sample has one at which a process is killed or stopped."""
MET_SHARE = 8
"""Of so many lines, a sample has one at which a thread meets another."""
Life = tuple[Callable[[], None], Callable[[], Iterator[str]]]
"""What a process does, and what says afterwards what is wrong with what it left."""
Made = TypeVar("Made")
Traced = Callable[[CodeType], bool]
"""Says of some code whether its lines count."""


def lines_of(*modules: ModuleType) -> Traced:
    """Let the lines of these modules count."""
    files = {module.__file__ for module in modules}
    return lambda code: code.co_filename in files


def tracer(traced: Traced, at: Callable[[FrameType], None]) -> Any:
    """Return what `sys.settrace` takes, so that `at` is called before each line that counts."""

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            at(frame)
        return trace

    return lambda frame, _event, _argument: trace if traced(frame.f_code) else None


def at_line(number: int, act: Callable[[], None]) -> Callable[[FrameType], None]:
    """Return what acts once, when as many lines have been come to; the first is 1."""
    left = [number]

    def count(_frame: FrameType) -> None:
        left[0] -= 1
        if not left[0]:
            act()

    return count


def in_child(work: Callable[[], None], trace: Any = None, *, threads: bool = False) -> int:
    """Let another process work; return its exit code, `KILLED` when it was.

    Args:
        work: What it does.
        trace: Traces it, and with `threads` the threads that it starts.
    """
    return os.waitstatus_to_exitcode(os.waitpid(forked(work, trace, threads=threads), 0)[1])


def forked(work: Callable[[], None], trace: Any = None, *, threads: bool = True) -> int:
    """As `in_child`, without waiting for its end; return its number."""
    child = os.fork()
    if not child:
        if trace is not None:
            sys.settrace(trace)
            if threads:
                threading.settrace(trace)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - nothing may run on in the child
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return child


def killed_at(number: int, work: Callable[[], None], traced: Traced) -> int:
    """Let another process work until it comes to that line; return its exit code, `KILLED` when it got there."""
    return in_child(work, tracer(traced, at_line(number, lambda: os.kill(os.getpid(), signal.SIGKILL))))


def told_by(program: Path, *arguments: object, timeout: float = 3600.0) -> dict[str, Any]:
    """Run a program that forks, with the tests' modules; return the JSON that it prints."""
    command = [sys.executable, str(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    sys.stderr.write(done.stderr)
    assert done.returncode == 0
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def kill_at_every_line(
    lives: Callable[[int], tuple[Callable[[], None], Callable[[], Iterator[str]]]], traced: Traced
) -> dict[str, Any]:
    """Kill at one line after another, as many of them as a drill takes, until a process lives to its end.

    Args:
        lives: Given how many lines the next one passes, returns it.
        traced: Which lines count.

    Returns:
        How many `kills` there were, the exit `code` of the one that lived, and what was `wrong`, at most 20 of it.
    """
    kills, wrong = 0, list[str]()
    for number in lines(SHARE):
        live, judge = lives(number - 1)
        code = killed_at(number, live, traced)
        wrong += [f"killed at line {number}: {problem}" for problem in judge()]
        if code != KILLED:
            break
        kills += 1
    return {"kills": kills, "code": code, "wrong": wrong[:20]}


def interleaved(number: int, first: Callable[[], object], second: Callable[[], object], traced: Traced) -> bool:
    """Let one thread work until it comes to that line, and another work meanwhile; return whether it got there.

    The first goes on when the second is done, or waits for something that the first one holds.

    Raises:
        BaseExceptionGroup: What they raised.
    """
    errors: list[BaseException] = []
    threads: list[threading.Thread] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    def meanwhile() -> None:
        threads.append(threading.Thread(target=guarded, args=(second,)))
        threads[0].start()
        threads[0].join(PATIENCE)

    def traced_first() -> None:
        sys.settrace(tracer(traced, at_line(number, meanwhile)))
        guarded(first)

    thread = threading.Thread(target=traced_first)
    thread.start()
    thread.join()
    for other in threads:
        other.join()
    if errors:
        raise BaseExceptionGroup(f"at line {number}", errors)
    return bool(threads)


def met_at_every_line(
    make: Callable[[int], Made],
    first: Callable[[Made], object],
    second: Callable[[Made], object],
    traced: Traced,
    *,
    least: int = 15,
) -> Iterator[tuple[int, Made]]:
    """Let one thread work until it comes to a line, and another meanwhile; then to a later one, and so on.

    Last of all, the second works when the first is done.

    Args:
        make: Given the number of the line, returns what both work on.
        first: What the one does, that is held up.
        second: What the other does.
        traced: Which lines count.
        least: Lines that the first has at least; with fewer, the wrong ones count.

    Yields:
        The number of the line, and what they worked on, to be judged.

    Raises:
        BaseExceptionGroup: What they raised.
        AssertionError: The first has too few lines.
    """
    for number in lines(MET_SHARE):
        made = make(number)
        met = interleaved(number, partial(first, made), partial(second, made), traced)
        if not met:
            second(made)
        yield number, made
        if not met:
            break
    assert number > least, f"it was tried at {number - 1} lines alone"


def stopped_at(
    number: int, first: Callable[[], None], second: Callable[[], None], traced: Traced, *, times: int = 1
) -> bool:
    """As `interleaved`, for two processes: the first is stopped, with all of its threads, at that line of its code.

    A line counts as many `times` as is said: what is done over and over would take too long. The second has `SLOW`
    seconds until the first goes on.

    Raises:
        AssertionError: One of them failed, or has not ended after as long again.
    """
    stop = _at_seldom_line(number, lambda: os.kill(os.getpid(), signal.SIGSTOP), times)
    first_pid = forked(first, tracer(traced, stop))
    status = os.waitpid(first_pid, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        assert status == 0, f"the first ended with {os.waitstatus_to_exitcode(status)}"
        return False
    second_pid = forked(second)
    ended = _ended(second_pid)
    os.kill(first_pid, signal.SIGCONT)
    codes = _ended(first_pid), _ended(second_pid) if ended is None else ended
    if codes != (0, 0):
        for pid, code in zip((first_pid, second_pid), codes, strict=True):
            if code is None:
                os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"at line {number}, they ended with {codes}")
    return True


def _at_seldom_line(number: int, act: Callable[[], None], times: int) -> Callable[[FrameType], None]:
    passed: Counter[tuple[str, int]] = Counter()
    count = at_line(number, act)

    def seldom(frame: FrameType) -> None:
        line = frame.f_code.co_filename, frame.f_lineno
        passed[line] += 1
        if passed[line] <= times:
            count(frame)

    return seldom


def _ended(pid: int) -> int | None:
    """Return the exit code of a process that ends within `SLOW` seconds."""
    until = time.monotonic() + SLOW
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None
