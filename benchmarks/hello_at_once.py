"""What many runs of hello at once cost: by one runner, and by the bare API calls of the same containers and threads.

Both in turn, in one process, on the same daemon: for each number of runs the time of all of them and the ratio, and
how long one of them took. `python benchmarks/hello_at_once.py 10 100` measures those numbers alone.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hello_in_docker import ROOT, bare_run, keep_asked

from botdock import Config, DockerRunner, Executable, PluginManager
from testbed.images import ensure_images
from testbed.provision import Lease, find_engine, may_own_a_daemon

AT_ONCE = (1, 10, 50, 100)
LEAST_RUNS = 200
"""Of each number, so many runs are made at least."""


def main(numbers: Sequence[int]) -> None:
    lease = Lease() if may_own_a_daemon() else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            compare(find_engine(lease.daemon if lease else None).host, Path(folder), numbers)
    finally:
        if lease:
            lease.give_back()


def compare(host: str, folder: Path, numbers: Sequence[int]) -> None:
    settings = {
        "engine": "docker",
        "home": str(folder / "home"),
        "docker": {"host": host},
        "runtime": {"images": {"python311": ensure_images(host)["python311"]}},
    }
    config = Config.load(environ={}, overrides=settings)
    hello = Executable(id="hello", runtime="python3.11", file_path=str(ROOT / "examples/hello-python"))
    with DockerRunner(config, plugins=PluginManager.load(config.plugins)) as runner:
        bare = bare_run(host, *keep_asked(runner, hello, folder / "kept"))

        def ours() -> None:
            result = runner.run(hello)
            assert result.succeeded, result.error

        for number in numbers:
            rounds = max(3, min(10, LEAST_RUNS // number))
            report(number, [(at_once(ours, number), at_once(bare, number)) for _ in range(rounds)])


Times = tuple[float, list[float], list[Exception]]
"""Seconds of all together, seconds of each that did not fail, and what failed."""


def at_once(run: Callable[[], None], number: int) -> Times:
    """Run so many at once, each in a thread of its own."""
    seconds: list[float] = []
    failed: list[Exception] = []

    def one(_: int) -> None:
        started = time.perf_counter()
        try:
            run()
        except Exception as error:  # noqa: BLE001 - counted and shown
            failed.append(error)
        else:
            seconds.append(time.perf_counter() - started)

    with ThreadPoolExecutor(number) as pool:
        started = time.perf_counter()
        list(pool.map(one, range(number)))
        return time.perf_counter() - started, seconds, failed


def report(number: int, rounds: Sequence[tuple[Times, Times]]) -> None:
    ratio = statistics.median(ours[0] / bare[0] for ours, bare in rounds)
    print(
        f"{number:3} at once: one runner takes {ratio:.3f} times what the bare API calls take (median of {len(rounds)})"
    )
    for name, times in zip(("one runner", "bare API calls"), zip(*rounds, strict=True), strict=True):
        each = sorted(itertools.chain.from_iterable(seconds for _, seconds, _ in times))
        failed = [error for _, _, errors in times for error in errors]
        p50, p99 = (each[min(int(len(each) * share), len(each) - 1)] for share in (0.5, 0.99))
        together = statistics.median(seconds for seconds, _, _ in times)
        print(
            f"    {name:15} together {together:7.3f} s   each p50 {p50:7.3f}  p99 {p99:7.3f} s   {len(failed)} failed"
        )
        for error in failed[:3]:
            print(f"        {type(error).__name__}: {error}")


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or AT_ONCE)
