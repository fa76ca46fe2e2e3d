"""The control groups of a container: whether its memory was too much, their kill, and their removal.

A container has one folder on cgroup v2, and one in each hierarchy of v1. What is in none of them is not known.
"""

# ruff: noqa: PTH106, PTH123 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from .processes import KILL_SECONDS, PAUSE

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from collections.abc import Iterable

OOM_FILES = ("memory.events", "memory.oom_control")
"""Of v2 and v1: lines of a name and a number, `oom_kill` among them (v1: since Linux 4.13)."""
PROCESSES = "cgroup.procs"
KILL = "cgroup.kill"
"""Of v2, since Linux 5.14."""


def oom_killed(folders: Iterable[str]) -> bool | None:
    """Return whether the kernel has killed a process in them for memory; None where that is not known."""
    killed: bool | None = None
    for path in (f"{folder}/{name}" for folder in folders for name in OOM_FILES):
        with suppress(OSError, LookupError, ValueError), open(path, encoding="ascii") as file:
            killed = int(dict(map(str.split, file))["oom_kill"]) > 0 or bool(killed)
    return killed


def kill_all(folders: Iterable[str]) -> None:
    """Kill what is in them until nothing is left, or `KILL_SECONDS` are over; remove those in which nothing is."""
    deadline = time.monotonic() + KILL_SECONDS
    for folder in folders:
        if _removed(folder):
            continue
        with suppress(OSError), open(f"{folder}/{KILL}", "w", encoding="ascii") as file:
            file.write("1")
        while (pids := _processes(folder)) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(OSError):  # it has ended meanwhile
                    os.kill(pid, signal.SIGKILL)
            time.sleep(PAUSE)


def _processes(folder: str) -> list[int]:
    with suppress(OSError), open(f"{folder}/{PROCESSES}", encoding="ascii") as file:
        return [pid for line in file if (pid := int(line))]  # 0: of another pid namespace, so not the bot's
    return []


def remove_all(folders: Iterable[str]) -> None:
    """Remove them.

    Raises:
        OSError: One is still in use after `KILL_SECONDS`.
    """
    deadline = time.monotonic() + KILL_SECONDS
    for folder in folders:
        while not _removed(folder):  # EBUSY: a process that was killed is not gone yet
            if time.monotonic() >= deadline:
                with suppress(FileNotFoundError):
                    os.rmdir(folder)
            time.sleep(PAUSE)


def _removed(folder: str) -> bool:
    """Remove one, unless it is in use; return whether it is gone."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
