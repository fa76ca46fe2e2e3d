"""What containers cost that wait: memory and processor, of the runner, of the engine, and of the members themselves.

    python benchmarks/idle_pool.py                  20 that wait, for a minute each on Docker and on oci
    python benchmarks/idle_pool.py oci --waiting 5 --seconds 10

Memory is the proportional share (what is shared counts in part), as it grows with the pool; a process is counted where
it is of the benchmark, of its engine, or below one of these. `waiting` 0 is what it takes without any.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from _processes import Process, belonging, places_of
from _setup import BOTS, bot, fill, leave_second_cgroups, machine, settings

from botdock import Config, DockerRunner

WAITING = 20
SECONDS = 60.0
PARTS = ("runner", "daemon", "shims", "bots")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", default=["docker", "oci"])
    parser.add_argument("--runtime", default="python311", choices=BOTS)
    parser.add_argument("--waiting", type=int, default=WAITING)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    leave_second_cgroups()
    print(machine())
    for engine in options.engines:
        with tempfile.TemporaryDirectory() as folder, settings(engine) as extra:
            home = Path(folder) / "home"
            overrides = {**extra, "home": str(home), "pool": {"max_memory": 0}}
            with DockerRunner(Config.load(environ={}, overrides=overrides)) as runner:
                runner.run(bot(options.runtime, Path(folder)))  # which loads and probes all that is needed
                places = places_of(home, extra)
                report(f"{engine}, none waiting", options.seconds, places, 0, {})
                without = memory(belonging(places))
                fill(runner, options.runtime, options.waiting)
                report(f"{engine}, {options.waiting} waiting", options.seconds, places, options.waiting, without)
    print(machine())


def report(what: str, seconds: float, places: list[Path], waiting: int, without: Mapping[str, int]) -> None:
    """Watch so long, and print it."""
    before = belonging(places)
    began = time.monotonic()
    time.sleep(seconds)
    after, minutes = belonging(places), (time.monotonic() - began) / 60
    held = memory(after)
    busy = dict.fromkeys(PARTS, 0.0)
    for pid, process in after.items():
        busy[part(pid, process)] += process.busy - (before[pid].busy if pid in before else 0.0)
    line = ", ".join(f"{name} {held[name] / 1024:.1f} MiB and {busy[name] / minutes:.2f} s" for name in PARTS)
    total = f"{sum(held.values()) / 1024:.1f} MiB, busy {sum(busy.values()) / minutes:.2f} s a minute"
    print(f"{what}: {len(after)} processes; {total}")
    print(f"    {line} a minute")
    if waiting:
        each = {name: (held[name] - without.get(name, 0)) / waiting / 1024 for name in PARTS}
        print("    each: " + ", ".join(f"{name} {size:.2f}" for name, size in each.items()) + " MiB")
        print(f"    failures: {sum(pid not in after for pid in before)} processes ended while they waited")


def memory(processes: Mapping[int, Process]) -> dict[str, int]:
    held = dict.fromkeys(PARTS, 0)
    for pid, process in processes.items():
        held[part(pid, process)] += process.kib
    return held


def part(pid: int, process: Process) -> str:
    """Return what a process is for."""
    if pid == os.getpid():
        return "runner"
    if "containerd-shim" in process.command or "_program." in process.command:
        return "shims"
    program = Path(process.command.partition(" ")[0]).name
    return "daemon" if program in {"dockerd", "containerd"} else "bots"


if __name__ == "__main__":
    main()
