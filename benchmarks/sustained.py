"""Warm runs for minutes, at 80 % of the rate at which the pool refills: how long they take, and what they leave.

    python benchmarks/sustained.py                  a minute on oci
    python benchmarks/sustained.py docker 10        ten minutes on Docker

Each run begins at its time, whatever the others do, and its times count from there. Before and after, with the pool
full, are counted: mounts, control groups, processes and files that are open, and what lies in the state folder beside
the records of executions. All of it must be flat.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import attrs
from _processes import belonging, look, places_of
from _setup import PATIENCE, bot, fill, leave_second_cgroups, machine, settings, spread

from botdock import Config, DockerRunner, Executable

RUNTIME = "python311"
SHARE = 0.8
TRIED = 20
"""Runs by which the rate is found, once the pool has been emptied."""
AT_ONCE = 64
SETTLES = 60.0
MEMORY, MOST_MEMORY = "KiB of this process", 1.5
"""What interpreters keep for what comes next is not a leak, within this factor."""


@attrs.define
class Minute:
    """Milliseconds of the runs that began in it, from when they were due.

    Attributes:
        first: Until the first line.
        end: Until the result.
        misses: Why runs were cold, and how many.
        failures: What failed.
        kib: Memory of this process when it began, in KiB.
    """

    first: list[float] = attrs.field(factory=list)
    end: list[float] = attrs.field(factory=list)
    misses: Counter[str] = attrs.field(factory=Counter)
    failures: list[str] = attrs.field(factory=list)
    kib: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", nargs="?", default="oci")
    parser.add_argument("minutes", nargs="?", type=float, default=1.0)
    parser.add_argument("--pool", type=int, default=8)
    options = parser.parse_args()
    if options.engine == "oci":
        leave_second_cgroups()
    print(f"{machine()}; {options.engine}, pool of {options.pool}")
    with tempfile.TemporaryDirectory() as folder, settings(options.engine) as extra:
        home = Path(folder) / "home"
        config = Config.load(environ={}, overrides={**extra, "home": str(home), "pool": {"max_memory": 0}})
        hello = bot(RUNTIME, Path(folder))
        with DockerRunner(config) as runner:
            rate = refill_rate(runner, hello, options.pool)
            print(f"{rate:.2f} runs a second when each waits for the next member; {SHARE:.0%} of it from now on")
            settled(runner, options.pool)
            places = places_of(home, extra)
            before = taken(home, places)
            minutes = sustain(runner, hello, rate * SHARE, options.minutes * 60)
            for number, minute in enumerate(minutes, 1):
                report(number, minute)
            if minutes[1:] and minutes[0].first and minutes[-1].first:
                ratio = statistics.median(minutes[-1].first) / statistics.median(minutes[0].first)
                print(f"the p50 of the first line in the last minute is {ratio:.2f} times that in the first")
            settled(runner, options.pool)
            compare(before, after(before, home, places))
        compare({"folders of the engine": 0, "folders of the pool": 0}, left(home), "of what is left when it is closed")
    print(machine())


def refill_rate(runner: DockerRunner, hello: Executable, pool: int) -> float:
    """Return how many members a second are started while each is used at once."""
    fill(runner, RUNTIME, pool)
    began = 0.0
    for number in range(pool + TRIED):
        if number == pool:
            began = time.monotonic()
        while not runner.warm({RUNTIME: pool}, timeout=0).kinds[0].waiting:
            time.sleep(0.005)
        runner.start(hello)
    return TRIED / (time.monotonic() - began)


def settled(runner: DockerRunner, pool: int) -> None:
    """Wait until nothing runs, and the pool is full."""
    deadline = time.monotonic() + PATIENCE
    while runner.list_managed_containers() and time.monotonic() < deadline:
        time.sleep(0.1)
    fill(runner, RUNTIME, pool)


def sustain(runner: DockerRunner, hello: Executable, rate: float, seconds: float) -> list[Minute]:
    minutes = [Minute() for _ in range(math.ceil(seconds / 60))]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            time.sleep(max(due - time.perf_counter(), 0.0))
            minute = minutes[min(int((due - began) / 60), len(minutes) - 1)]
            minute.kib = minute.kib or look(Path("/proc/self")).kib
            threads.submit(run, runner, hello, due, minute)
    return minutes


def run(runner: DockerRunner, hello: Executable, due: float, minute: Minute) -> None:
    try:
        execution = runner.start(hello)
        line = next(iter(execution.logs(follow=True)), None)
        first = time.perf_counter() - due
        result = execution.wait(PATIENCE)
        end = time.perf_counter() - due
        if line is None or result is None or not result.succeeded:
            minute.failures.append(str(result and result.error))
            return
        if miss := result.evidence.get("pool", {}).get("miss"):
            minute.misses[miss] += 1
        minute.first.append(1000 * first)
        minute.end.append(1000 * end)
    except Exception as error:  # noqa: BLE001 - counted and shown
        minute.failures.append(repr(error))


def taken(home: Path, places: list[Path]) -> dict[str, int]:
    """Return what there is, now that nothing runs and all wait that are to."""
    processes = belonging(places)
    return {
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "control groups": control_groups(processes.keys()),
        "processes": len(processes),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        **left(home),
        MEMORY: processes[os.getpid()].kib,
    }


def after(before: dict[str, int], home: Path, places: list[Path]) -> dict[str, int]:
    """Return what there is now; what grew is looked at again for a while, as a leak stays and all else goes."""
    deadline = time.monotonic() + SETTLES
    while True:
        now = taken(home, places)
        if time.monotonic() > deadline or not any(grew(name, before, now) for name in before):
            return now
        time.sleep(1)


def control_groups(pids: Collection[int]) -> int:
    """Return how many folders of containers' groups hold one of these processes, or none at all, as those left over."""
    count = 0
    for folder, below, _ in os.walk("/sys/fs/cgroup"):
        if not below and ("/botdock/" in folder or "docker" in folder):
            with suppress(OSError):  # removed meanwhile
                inside = set(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
                count += not inside or not inside.isdisjoint(pids)
    return count


def left(home: Path) -> dict[str, int]:
    return {
        "folders of the engine": sum(1 for path in (home / "oci").glob("*") if path.is_dir()),
        "folders of the pool": sum(1 for _ in (home / "pool").glob("*/*/")),
        "workspaces of executions": sum(1 for _ in (home / "executions").glob("*/workspace/")),
    }


def report(number: int, minute: Minute) -> None:
    print(f"minute {number:2}  first line: {spread(minute.first)}; this process had {minute.kib} KiB as it began")
    misses = ", ".join(f"{count} {reason}" for reason, count in minute.misses.items())
    print(f"           end: {spread(minute.end)}; cold: {misses or 'none'}; {len(minute.failures)} failed")
    for failure in minute.failures[:3]:
        print(f"    {failure}", file=sys.stderr)


def compare(before: dict[str, int], now: dict[str, int], what: str = "before, and after") -> None:
    print(f"{what}:")
    for name, count in before.items():
        print(f"    {name:26} {count:8} {now[name]:8}  {'GREW' if grew(name, before, now) else 'flat'}")


def grew(name: str, before: dict[str, int], now: dict[str, int]) -> bool:
    return now[name] > before[name] * (MOST_MEMORY if name == MEMORY else 1)


if __name__ == "__main__":
    main()
