"""Processes that a record names: whether they live, when they end, and their kill."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botdock.shim._program import files
from botdock.shim._program.processes import kill_below, signal_groups

POLL_SECONDS = 0.02
"""Between two looks where the kernel cannot tell of a process's end."""
LONGEST_POLL = 86_400.0
"""Seconds; more milliseconds than fit into a C int are refused. Callers look again anyway."""


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether the process that a record names still runs; a later one of the same number is another."""
    identity = files.identity_of(process["pid"])
    return identity is not None and identity == process["identity"]


def wait_for_end(process: Mapping[str, Any] | None, timeout: float) -> None:
    """Return when the process has ended, or after `timeout` seconds at most; where neither can be told, soon."""
    descriptor = None
    with suppress(OSError, AttributeError):  # it has ended; or the kernel, or this Python, is too old for it
        descriptor = os.pidfd_open(process["pid"]) if process else None
    try:
        if process and not is_alive(process):  # the number may have passed to another one
            return
        if descriptor is None:
            time.sleep(max(0.0, min(POLL_SECONDS, timeout)))
        else:
            wait_readable(descriptor, timeout)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def wait_readable(descriptor: int, timeout: float) -> bool:
    """Return whether there is something to read, at most `timeout` seconds later; unlike `select`, of any number."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(math.ceil(max(0.0, min(timeout, LONGEST_POLL)) * 1000)))


def kill_process(process: Mapping[str, Any]) -> None:
    """Kill a process and its group, if it is still that one; first what is below it, which would get another parent."""
    if is_alive(process):
        kill_below(process["pid"])
        signal_groups([process["pid"]], signal.SIGKILL)
