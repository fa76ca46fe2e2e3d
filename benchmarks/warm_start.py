"""From `start()` to a bot's first line and to its end: in a container that waited for it, and in one of its own.

    python benchmarks/warm_start.py                         on Docker: Python, Node and bash
    python benchmarks/warm_start.py oci python311 --n 100   on another engine, for one runtime

Cold and warm runs take turns, so that both meet the same machine. A warm run begins once enough containers wait again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import attrs
from _setup import BOTS, PATIENCE, bot, fill, leave_second_cgroups, machine, settings, spread

from botdock import Config, DockerRunner, Executable

WAITING = 2


@attrs.define
class Times:
    """Milliseconds of runs of one kind, and how many failed.

    Attributes:
        first: From `start()` to the first line.
        end: From `start()` to the result.
        failures: Runs that did not do what they should.
    """

    first: list[float] = attrs.field(factory=list)
    end: list[float] = attrs.field(factory=list)
    failures: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", nargs="?", default="docker")
    parser.add_argument("runtimes", nargs="*", default=list(BOTS))
    parser.add_argument("--n", type=int, default=40)
    options = parser.parse_args()
    if options.engine == "oci":
        leave_second_cgroups()
    print(f"{machine()}; {options.engine}")
    with tempfile.TemporaryDirectory() as folder, settings(options.engine) as extra:
        overrides = {"home": f"{folder}/home", **extra}
        with DockerRunner(Config.load(environ={}, overrides=overrides)) as runner:
            for runtime in options.runtimes:
                report(runtime, *measure(runner, bot(runtime, Path(folder)), options.n))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def measure(runner: DockerRunner, executable: Executable, count: int) -> tuple[Times, Times]:
    """Run it so often cold and warm, in turn."""
    cold, warm = Times(), Times()
    cold_one = attrs.evolve(executable, limits={"pids": 99})  # of another template
    run(runner, cold_one, Times())
    for _ in range(count):
        fill(runner, str(executable.runtime), WAITING)
        run(runner, executable, warm, waited=True)
        fill(runner, str(executable.runtime), WAITING)
        run(runner, cold_one, cold)
    runner.warm({})
    return cold, warm


def run(runner: DockerRunner, executable: Executable, times: Times, *, waited: bool = False) -> None:
    began = time.perf_counter()
    execution = runner.start(executable)
    line = next(iter(execution.logs(follow=True)), None)
    first = time.perf_counter() - began
    result = execution.wait(PATIENCE)
    end = time.perf_counter() - began
    if (
        line is None
        or result is None
        or not result.succeeded
        or ("waited" in result.evidence.get("pool", {})) != waited
    ):
        times.failures += 1
        return
    times.first.append(1000 * first)
    times.end.append(1000 * end)


def report(runtime: str, cold: Times, warm: Times) -> None:
    for what in ("first", "end"):
        slow, quick = getattr(cold, what), getattr(warm, what)
        print(f"{runtime:10} {what:5} cold {spread(slow)}, failures {cold.failures}")
        print(f"{runtime:10} {what:5} warm {spread(quick)}, failures {warm.failures}; {ratio(slow, quick)}")


def ratio(slow: list[float], quick: list[float]) -> str:
    if not (slow and quick):
        return "no ratio"
    return f"{statistics.median(quick) / statistics.median(slow):.3f} times the cold one's"


if __name__ == "__main__":
    main()
