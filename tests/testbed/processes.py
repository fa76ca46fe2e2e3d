"""Ends processes that the testbed started, which may be children of another process of the session."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed.waiting import wait_until

STOP_TIMEOUT = 30.0
_START_TIMEOUT = 60.0


def end_process(pid: int, number: signal.Signals | None) -> None:
    """Send a signal, if one is given, and wait for the end; one that does not end in time is killed."""
    if number is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    if not wait_until(lambda: not lives(pid), timeout=STOP_TIMEOUT):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not lives(pid), timeout=STOP_TIMEOUT)


def comes_up(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    """Wait until a server that was started is ready; one that is not is ended. Return which of the two it was."""
    if wait_until(lambda: ready() or process.poll() is not None, timeout=_START_TIMEOUT) and process.poll() is None:
        return True
    process.kill()
    process.wait()
    return False


def end_child(process: subprocess.Popen[bytes]) -> None:
    """End a server of our own in order, and wait for its end; one that does not end in time is killed."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that its parent has not waited for, does not."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    state = read_or_empty(Path(f"/proc/{pid}/stat")).rpartition(b") ")[2][:1]
    return state not in {b"", b"Z", b"X"}


def read_or_empty(path: Path) -> bytes:
    """Return what a file holds, and nothing where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
