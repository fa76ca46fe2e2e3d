"""The processes below another one: found, signalled, and killed to the last.

The shim takes in what loses its parent, so that all that a bot has started stays below it. The kernel lists the
children of each thread (`/proc/<pid>/task/<thread>/children`; CONFIG_PROC_CHILDREN, which distributions set).
"""

# ruff: noqa: PTH123, PTH208 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from .files import identity_of

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
"""How long killed processes may take to die; one that runs as another user, or forks without end, may not do so."""
PAUSE = 0.001
"""Seconds between two looks at what has been killed and still has to die."""


def take_in_orphans() -> None:
    """Become the parent of each process below us that loses its own.

    By the module below `ctypes`, whose own import would take ten times as long. Where this Python has none, only the
    bot's process group, and what still has its parent, can be reached.
    """
    with suppress(ImportError):
        from _ctypes import call_function, dlopen, dlsym

        program = dlopen(None, 0)  # type: ignore[arg-type]  # as ctypes.CDLL(None) does: what the C library has
        call_function(dlsym(program, "prctl"), (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def processes_below(pid: int) -> list[int]:
    """Return the children of a process, theirs, and so on."""
    found: dict[int, None] = {}
    parents = [pid]
    while parents:
        children = [child for child in _children(parents.pop()) if child not in found]
        found.update(dict.fromkeys(children))
        parents += children
    return list(found)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has ended meanwhile
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def signal_groups(pids: list[int], number: int) -> None:
    """Signal the groups that processes belong to, each once; what forks meanwhile cannot slip through."""
    groups = {os.getpgrp()}  # not our own, in which a child is that has not become the bot yet
    for pid in pids:
        with suppress(OSError):  # it has ended meanwhile, or runs as another user, by way of a set-uid program
            if (group := os.getpgid(pid)) not in groups:
                groups.add(group)
                os.killpg(group, number)


def kill_below(pid: int, *, ended: int = 0) -> None:
    """Kill what runs below a process until nothing is left, or `KILL_SECONDS` are over; reap our own children.

    Args:
        pid: The process.
        ended: A child of it that has ended, and is not reaped.
    """
    deadline = time.monotonic() + KILL_SECONDS
    dead = {ended}  # before they were listed: so they have not forked since
    while not dead.issuperset(found := processes_below(pid)) and time.monotonic() < deadline:
        signal_groups(found, signal.SIGKILL)
        left = [each for each in found if each not in dead and not _reap(each)]
        dead.update(each for each in left if identity_of(each) is None)
        if not dead.issuperset(left):
            time.sleep(PAUSE)


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
