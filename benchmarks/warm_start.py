"""From `start()` to a bot's first line and to its end: in a container that waited for it, and in one of its own.

    python benchmarks/warm_start.py                         on Docker: Python, Node and bash
    python benchmarks/warm_start.py oci python311 --n 100   on another engine, for one runtime

Cold and warm runs take turns, so that both meet the same machine. A warm run begins once enough containers wait again.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from botdock import Config, DockerRunner, Executable  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - as above
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - as above

WAITING = 2
PATIENCE = 120.0
BOTS = {
    "python311": ("main.py", "def main(id, config):\n    print('hello')\n"),
    "nodejs20": ("main.js", "exports.main = () => console.log('hello')\n"),
    "bash": ("main.sh", "echo hello\n"),
}


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
    print(f"{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {options.engine}")
    with tempfile.TemporaryDirectory() as folder, settings(options.engine) as extra:
        overrides = {"engine": options.engine, "home": f"{folder}/home", **extra}
        with DockerRunner(Config.load(environ={}, overrides=overrides)) as runner:
            for runtime in options.runtimes:
                report(runtime, *measure(runner, bot(runtime, Path(folder)), options.n))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


@contextmanager
def settings(engine: str) -> Iterator[dict[str, Any]]:
    """Yield what an engine needs to be told here; Docker is a private one where that can be."""
    if engine != "docker":
        yield {}
        return
    lease = Lease() if may_own_a_daemon() else None
    try:
        host = find_engine(lease.daemon if lease else None).host
        images = {runtime: image for runtime, image in ensure_images(host).items() if runtime in BOTS}
        yield {"docker": {"host": host}, "runtime": {"images": images}}
    finally:
        if lease:
            lease.give_back()


def bot(runtime: str, folder: Path) -> Executable:
    script, source = BOTS[runtime]
    tree = folder / runtime
    tree.mkdir()
    (tree / script).write_text(source)
    return Executable(id="hello", runtime=runtime, file_path=str(tree))


def measure(runner: DockerRunner, executable: Executable, count: int) -> tuple[Times, Times]:
    """Run it so often cold and warm, in turn."""
    cold, warm = Times(), Times()
    cold_one = attrs.evolve(executable, limits={"pids": 99})  # of another template
    run(runner, cold_one, Times())
    for _ in range(count):
        runner.warm({str(executable.runtime): WAITING}, timeout=PATIENCE)
        run(runner, executable, warm, waited=True)
        runner.warm({str(executable.runtime): WAITING}, timeout=PATIENCE)
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
        print(f"{runtime:10} {what:5} cold {shown(slow, cold.failures)}")
        print(f"{runtime:10} {what:5} warm {shown(quick, warm.failures)}; {ratio(slow, quick)}")


def shown(times: list[float], failures: int) -> str:
    if not times[1:]:
        return f"n {len(times)}, failures {failures}"
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    middle = f"p50 {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f} ms"
    return f"n {len(times)}, {middle}, failures {failures}"


def ratio(slow: list[float], quick: list[float]) -> str:
    if not (slow and quick):
        return "no ratio"
    return f"{statistics.median(quick) / statistics.median(slow):.3f} times the cold one's"


if __name__ == "__main__":
    main()
