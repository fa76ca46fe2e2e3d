"""Many runs of hello at once: cold, and warm with pools of several sizes, on Docker and on oci, against bare API calls.

    python benchmarks/burst.py                                 1, 10, 50 and 100 at once, pools of 10 and of 100
    python benchmarks/burst.py 1 10 --pools 10 --rounds 1      less of it
    python benchmarks/burst.py --svg docs/how-to/burst.svg     draws the medians as well

All take turns. The bare calls make the same containers from as many threads, and do nothing else. A pool is full when a
burst begins; what it lacks then runs cold, and is counted. Without Docker, only oci is measured.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
from _curve import draw
from _setup import bot, fill, leave_second_cgroups, machine, settings, spread
from hello_at_once import Times, at_once
from hello_in_docker import bare_run, check, keep_asked

from botdock import Config, DockerRunner, Executable
from testbed.console import TestbedError

AT_ONCE = (1, 10, 50, 100)
POOLS = (10, 100)
ROUNDS = 3
RUNTIME = "python311"
BARE = "bare API calls"


@attrs.define
class Burst:
    """One way of running hello, opened for the bursts of one round.

    Attributes:
        run: Runs once; raises what went wrong.
        fill: Waits until all is as it should be before a burst.
        hits: Runs that went into a container that waited, of the latest burst.
    """

    run: Callable[[], None]
    fill: Callable[[], None] = lambda: None
    hits: list[bool] = attrs.field(factory=list)


@attrs.frozen
class Measured:
    """One burst: what `at_once` returns, and how many of it were warm."""

    times: Times
    hits: int


Way = Callable[[], Any]
Key = tuple[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, default=AT_ONCE)
    parser.add_argument("--engines", nargs="*", default=["docker", "oci"])
    parser.add_argument("--pools", nargs="*", type=int, default=POOLS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    leave_second_cgroups()
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hello = bot(RUNTIME, folder)
        ways: dict[str, Way] = {}
        for engine in options.engines:
            try:
                extra = stack.enter_context(settings(engine))
            except TestbedError as error:
                print(f"without {engine}: {error}")
                continue
            ways |= of_engine(engine, extra, hello, folder, options.pools)
        bursts = measure(ways, options.numbers, options.rounds)
    report(bursts)
    if options.svg:
        options.svg.write_text(draw("Runs at once, and until the last of them has ended", curve(bursts)))
        print(f"{options.svg} is drawn")


def of_engine(
    engine: str, extra: Mapping[str, Any], hello: Executable, folder: Path, pools: Sequence[int]
) -> dict[str, Way]:
    def ours(pool: int) -> Way:
        home = str(folder / f"{engine}{pool}")
        overrides = {**extra, "home": home, "pool": {"max_memory": 0}}
        return lambda: opened(Config.load(environ={}, overrides=overrides), hello, pool)

    ways: dict[str, Way] = {}
    if engine == "docker":
        with DockerRunner(Config.load(environ={}, overrides={**extra, "home": str(folder / "asked")})) as runner:
            asked = keep_asked(runner, hello, folder / "kept")
        ways[BARE] = lambda: bare(bare_run(extra["docker"]["host"], *asked))
    return {**ways, f"cold {engine}": ours(0), **{f"{engine}, pool of {pool}": ours(pool) for pool in pools}}


@contextmanager
def bare(run: Callable[[], None]) -> Iterator[Burst]:
    yield Burst(run)


@contextmanager
def opened(config: Config, hello: Executable, pool: int) -> Iterator[Burst]:
    """Yield the runs of a runner that keeps so many waiting, and nothing else of which waits."""
    hits: list[bool] = []
    with DockerRunner(config) as runner:

        def run() -> None:
            result = runner.run(hello)
            check(result)
            hits.append("waited" in result.evidence.get("pool", {}))

        yield Burst(run, (lambda: fill(runner, RUNTIME, pool)) if pool else lambda: None, hits)


def measure(ways: Mapping[str, Way], numbers: Sequence[int], rounds: int) -> dict[Key, list[Measured]]:
    bursts: dict[Key, list[Measured]] = {(name, number): [] for number in numbers for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with way() as burst:
                burst.run()  # warms up
                for number in numbers:
                    burst.fill()
                    burst.hits.clear()
                    times = at_once(burst.run, number)
                    bursts[name, number].append(Measured(times, sum(burst.hits)))
    return bursts


def report(bursts: Mapping[Key, Sequence[Measured]]) -> None:
    for (name, number), measured in bursts.items():
        each = [1000 * seconds for one in measured for seconds in one.times[1]]
        failed = [error for one in measured for error in one.times[2]]
        hits = sum(one.hits for one in measured)
        line = f"{number:3} at once  {name:20} all {together(measured):7.3f} s; each {spread(each)}"
        line += f"; {hits} warm, {len(failed)} failed"
        if name != BARE and (against := bursts.get((BARE, number))):
            pairs = zip(measured, against, strict=True)
            ratio = statistics.median(mine.times[0] / theirs.times[0] for mine, theirs in pairs)
            line += f"; {ratio:.3f} times {BARE}"
        print(line)
        for error in failed[:3]:
            print(f"    {type(error).__name__}: {error}", file=sys.stderr)
    print(machine())


def together(measured: Sequence[Measured]) -> float:
    """Return the median of the seconds until the last of a burst has ended."""
    return statistics.median(one.times[0] for one in measured)


def curve(bursts: Mapping[Key, Sequence[Measured]]) -> dict[str, list[tuple[int, float]]]:
    lines: dict[str, list[tuple[int, float]]] = {}
    for (name, number), measured in bursts.items():
        lines.setdefault(name, []).append((number, together(measured)))
    return lines


if __name__ == "__main__":
    main()
