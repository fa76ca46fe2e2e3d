"""Waiting for processes that are not our children, and killing what a dead supervisor has left."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any

from botdock_engine_process.supervisor.records import identity_of

POLL_SECONDS = 0.02
"""Between two looks where the kernel cannot tell of a process's end."""

LONGEST_POLL = 86_400.0
"""Seconds; more milliseconds than fit into a C int are refused. Callers look again anyway."""


def is_alive(record: dict[str, Any]) -> bool:
    """Whether the process that a record names still runs; a later one of the same number is another."""
    identity = identity_of(record["pid"])
    return identity is not None and identity == record["identity"]


def wait_for_end(record: dict[str, Any] | None, timeout: float) -> None:
    """Return when the process has ended, or after `timeout` seconds at most; where neither can be told, soon."""
    if record and not is_alive(record):
        return
    descriptor = _open(record["pid"]) if record else None
    if descriptor is None:
        time.sleep(max(0.0, min(POLL_SECONDS, timeout)))
        return
    try:
        if record and is_alive(record):  # else the number passed to another process before it was opened
            wait_readable(descriptor, timeout)
    finally:
        os.close(descriptor)


def wait_readable(descriptor: int, timeout: float) -> None:
    """Return when there is something to read, or after `timeout` seconds; unlike `select`, for any descriptor."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(math.ceil(max(0.0, min(timeout, LONGEST_POLL)) * 1000))


def kill_group(record: dict[str, Any]) -> None:
    """Kill the group that a process leads, if it is still that process."""
    if is_alive(record):
        with suppress(OSError):
            os.killpg(record["pid"], signal.SIGKILL)


def kill(record: dict[str, Any]) -> None:
    """Kill a process, if it is still that process."""
    if is_alive(record):
        with suppress(OSError):
            os.kill(record["pid"], signal.SIGKILL)


def _open(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended; or the kernel is older than 5.3
        return None
