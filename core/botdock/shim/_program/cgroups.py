"""The control groups of a container: what they say of its end, their kill, and their removal.

A container has one folder on cgroup v2, and one in each hierarchy of v1. What is in none of them is not known.
"""

# ruff: noqa: PTH106, PTH123, PTH208 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from .processes import KILL_SECONDS, PAUSE

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

OOM_FILES = ("memory.events", "memory.oom_control")
"""Of v2 and v1: lines of a name and a number, `oom_kill` among them (v1: since Linux 4.13)."""
PEAK_FILES = ("memory.peak", "memory.max_usage_in_bytes")
"""Of v2 (since Linux 5.19) and v1: bytes."""
CPU_FILES = {"cpu.stat": ("usage_usec", 1_000_000), "cpuacct.usage": ("", 1_000_000_000)}
"""Of v2 and v1: the line that counts, if it is not the only one, and how many of its units make a second."""
PROCESSES = "cgroup.procs"
KILL = "cgroup.kill"
"""Of v2, since Linux 5.14."""


def read_usage(folders: Iterable[str]) -> dict[str, Any]:
    """Return `oom_killed`, `memory_peak` in bytes and `cpu_seconds`; what is not known is None."""
    usage: dict[str, Any] = {"oom_killed": None, "memory_peak": None, "cpu_seconds": None}
    for folder in folders:
        there = _names(folder)
        for name in there.intersection(OOM_FILES):
            if (count := _number(f"{folder}/{name}", "oom_kill")) is not None:
                usage["oom_killed"] = bool(usage["oom_killed"]) or count > 0
        for name in there.intersection(PEAK_FILES):
            if (peak := _number(f"{folder}/{name}")) is not None:
                usage["memory_peak"] = peak
        for name in there.intersection(CPU_FILES):
            line, units = CPU_FILES[name]
            if (used := _number(f"{folder}/{name}", line)) is not None:
                usage["cpu_seconds"] = used / units
    return usage


def _names(folder: str) -> set[str]:
    """Return the files of a group: most groups of v1 have none that we read, and asking for each takes longer."""
    with suppress(OSError):
        return set(os.listdir(folder))
    return set()


def _number(path: str, line: str = "") -> int | None:
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        for words in map(str.split, file):
            if not line or words[0] == line:
                return int(words[-1])
    return None


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
