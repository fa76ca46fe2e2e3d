"""What benchmarks share: this machine, its engines, the bots, and how times are printed."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from botdock import DockerRunner, Executable  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - as above
from testbed.oci import second_cgroups  # noqa: E402 - as above
from testbed.packages import ensure_programs, find_program  # noqa: E402 - as above
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - as above

PATIENCE = 600.0
BOTS = {
    "python311": ("main.py", "def main(id, config):\n    print('hello')\n"),
    "nodejs20": ("main.js", "exports.main = () => console.log('hello')\n"),
    "bash": ("main.sh", "echo hello\n"),
}


def machine() -> str:
    """Return what the numbers of a run depend on."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    memory = int(line.split()[1]) / 1024**2
    load = os.getloadavg()[0]
    return f"{platform.platform()}, {os.cpu_count()} processors, {memory:.0f} GiB, load {load:.1f}"


def leave_second_cgroups() -> None:
    """Go on in a mount namespace without cgroups of version 2 beside those of version 1, with which crun gives up."""
    if os.geteuid() == 0 and (place := second_cgroups()):
        again = [sys.executable, *sys.argv]
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c", f'umount {place} && exec "$@"', "sh", *again])


@contextmanager
def settings(engine: str) -> Iterator[dict[str, Any]]:
    """Yield what an engine needs to be told here: crun for oci; a private Docker where that can be."""
    if engine == "oci":
        if os.geteuid() == 0:
            ensure_programs("crun")
        yield {"engine": engine, "options": {"oci": {"runtime": find_program("crun") or ""}}}
    elif engine == "docker":
        lease = Lease() if may_own_a_daemon() else None
        try:
            host = find_engine(lease.daemon if lease else None).host
            images = {runtime: image for runtime, image in ensure_images(host).items() if runtime in BOTS}
            yield {"engine": engine, "docker": {"host": host}, "runtime": {"images": images}}
        finally:
            if lease:
                lease.give_back()
    else:
        yield {"engine": engine}


def bot(runtime: str, folder: Path) -> Executable:
    """Write the code of a bot that prints one line."""
    script, source = BOTS[runtime]
    tree = folder / runtime
    tree.mkdir(parents=True, exist_ok=True)
    (tree / script).write_text(source)
    return Executable(id="hello", runtime=runtime, file_path=str(tree))


def fill(runner: DockerRunner, runtime: str, count: int) -> None:
    """Return when so many wait."""
    (kind,) = runner.warm({runtime: count}, timeout=PATIENCE).kinds
    assert kind.waiting == count, f"{kind.waiting} of {count} wait: {kind.error or 'no more came in time'}"


def spread(times: Sequence[float], unit: str = "ms") -> str:
    """Return how many times there are, and what most of them take, in the unit that they are in."""
    if not times:
        return "n 0"
    cuts = statistics.quantiles(times if times[1:] else [*times, *times], n=100, method="inclusive")
    return f"n {len(times)}, p50 {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f} {unit}"
