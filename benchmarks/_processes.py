"""What the processes of a benchmark take: its own, those below it, and those of the daemon and of the shims."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Process:
    """One process.

    Attributes:
        parent: The id of its parent.
        command: Its command line.
        busy: Seconds that it had a processor.
        kib: Its share of the memory in use, in KiB: what it has alone, and its part of what it shares.
    """

    parent: int
    command: str
    busy: float
    kib: int


def places_of(home: Path, extra: Mapping[str, Any]) -> list[Path]:
    """Return what names the processes of an engine: its state folder, and the folder of a daemon that is private."""
    daemon = Path(extra.get("docker", {}).get("host", "").removeprefix("unix://")).parent
    return [home, daemon] if daemon.name.startswith("botdock-testbed-") else [home]


def belonging(places: list[Path]) -> dict[int, Process]:
    """Return this process, all that name or are in one of these places, and all below them, by their ids."""
    found: dict[int, tuple[int, str]] = {}
    named: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            names = f"{command} {(folder / 'cwd').readlink()}/"  # a forked shim has the command of another process
            found[int(folder.name)] = (int(fields(folder)[1]), command)
            if any(f"{place}/" in names for place in places):
                named.add(int(folder.name))
    ours = {os.getpid(), *named}
    while below := {pid for pid, (parent, _) in found.items() if parent in ours} - ours:
        ours |= below
    processes = {}
    for pid in ours:
        with suppress(OSError):
            processes[pid] = look(Path(f"/proc/{pid}"), found[pid][1])
    return processes


def look(folder: Path, command: str = "") -> Process:
    """Return what a process takes, of its folder in /proc."""
    parts = fields(folder)
    rollup = (folder / "smaps_rollup").read_text().splitlines()
    kib = sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Process(int(parts[1]), command, (int(parts[11]) + int(parts[12])) / TICKS, kib)


def fields(folder: Path) -> list[str]:
    """Return what /proc/<pid>/stat says behind the name of the program (proc_pid_stat(5))."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
