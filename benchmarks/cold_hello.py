"""What a cold hello costs on the oci engine: crun and runc, each against itself alone over the same bundle, and Docker.

All in turn, in one process: of each the times, what failed, and how many times the time of its own comparison botdock
takes. `python benchmarks/cold_hello.py 50` makes 50 rounds. It needs root. Where cgroups of version 2 are mounted
beside those of version 1, it runs in a mount namespace of its own without them, since crun would give up.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
from _setup import leave_second_cgroups, machine
from hello_in_docker import ROOT, check, docker_run, keep_asked

from botdock import Config, DockerRunner, Executable, PluginManager
from botdock.config import RuntimeConfig
from botdock.model import ContainerHandle
from botdock_engine_docker.settings import DockerSettings
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.settings import OciSettings
from testbed.console import TestbedError
from testbed.images import ensure_images
from testbed.packages import ensure_programs, find_program
from testbed.provision import Lease, find_engine, may_own_a_daemon

ROUNDS = 30
RUNTIMES = ("crun", "runc")
HELLO = Executable(id="hello", runtime="python3.11", file_path=str(ROOT / "examples/hello-python"))
INTERPRETER = "/usr/bin/python3"
Way = Callable[[], None]


@attrs.frozen
class Compared:
    """A way to run hello.

    Attributes:
        run: Does it once; raises what went wrong.
        against: The name of the way whose time it is compared with; empty for none.
    """

    run: Way
    against: str = ""


def main(rounds: int) -> None:
    leave_second_cgroups()
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways: dict[str, Compared] = {"python -I": Compared(lambda: program(INTERPRETER, "-I", "-c", "print('hello')"))}
        for name in RUNTIMES:
            ways |= with_runtime(name, folder / name, stack)
        ways |= with_docker(folder / "docker", stack)
        report(measure(ways, rounds), ways)


def program(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def open_runner(config: Config, stack: ExitStack) -> DockerRunner:
    return stack.enter_context(DockerRunner(config, plugins=PluginManager.load(config.plugins)))


def with_runtime(name: str, folder: Path, stack: ExitStack) -> dict[str, Compared]:
    ensure_programs(name)
    path = find_program(name)
    assert path, f"{name} is not installed"
    folder.mkdir()
    options = {"oci": OciSettings(runtime=path)}
    runner = open_runner(Config(engine="oci", home=str(folder / "home"), options=options), stack)
    bundle = keep_bundle(runner, HELLO, folder / "kept")
    state = str(folder / "state")
    alone = f"{name} run"
    return {
        alone: Compared(lambda: program(path, "--root", state, "run", "--bundle", str(bundle), f"bare-{name}")),
        f"botdock, {name}": Compared(lambda: check(runner.run(HELLO)), alone),
    }


def keep_bundle(runner: DockerRunner, executable: Executable, kept: Path) -> Path:
    """Run once, and return a copy of the bundle that the runtime was started with."""
    start = OciEngine.start
    home = runner.config.home_dir

    def keep(self: OciEngine, container: ContainerHandle, *, timeout: float) -> None:
        (workspace,) = home.glob("executions/*/workspace")
        bundle = home / "oci" / container.id
        shutil.copytree(workspace, kept / "workspace", symlinks=True)
        shutil.copytree(bundle, kept / "bundle", symlinks=True, ignore=shutil.ignore_patterns("control", "bells"))
        config = kept / "bundle" / "config.json"
        moved = config.read_text().replace(str(workspace), str(kept / "workspace"))
        config.write_text(moved.replace(str(bundle), str(kept / "bundle")))
        start(self, container, timeout=timeout)

    OciEngine.start = keep  # type: ignore[method-assign] # undone below
    try:
        check(runner.run(executable))
    finally:
        OciEngine.start = start  # type: ignore[method-assign] # as it was
    (kept / "workspace" / "result").chmod(0o666)
    return kept / "bundle"


def with_docker(folder: Path, stack: ExitStack) -> dict[str, Compared]:
    """Return the ways of Docker; none where none answers."""
    lease = Lease() if may_own_a_daemon() else None
    if lease:
        stack.callback(lease.give_back)
    try:
        host = find_engine(lease.daemon if lease else None).host
        images = {"python311": ensure_images(host)["python311"]}
    except TestbedError as error:
        print(f"without Docker: {error}")
        return {}
    settings = {"runtime": RuntimeConfig(images=images), "options": {"docker": DockerSettings(host=host)}}
    runner = open_runner(Config(engine="docker", home=str(folder / "home"), **settings), stack)  # type: ignore[arg-type] # of several types
    bare = docker_run(host, *keep_asked(runner, HELLO, folder / "kept"))
    alone = {"docker run": Compared(bare)} if bare else {}
    return {**alone, "botdock, docker": Compared(lambda: check(runner.run(HELLO)), *alone)}


def measure(ways: dict[str, Compared], rounds: int) -> dict[str, list[float | None]]:
    """Return the seconds of each in each round; None where it failed."""
    seconds: dict[str, list[float | None]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            try:
                way.run()
                took: float | None = time.perf_counter() - started
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                took = None
            if number:  # the first round warms up
                seconds[name].append(took)
    return seconds


def report(seconds: dict[str, list[float | None]], ways: dict[str, Compared]) -> None:
    for name, values in seconds.items():
        known = sorted(value * 1000 for value in values if value is not None)
        p50, p95, p99 = (known[min(int(len(known) * share), len(known) - 1)] for share in (0.5, 0.95, 0.99))
        line = f"{name:16} n {len(values):3}  min {known[0]:6.1f}  p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms"
        line += f"  {len(values) - len(known)} failed"
        if against := ways[name].against:
            pairs = list(both(values, seconds[against]))
            more = statistics.median(mine - theirs for mine, theirs in pairs) * 1000
            ratio = statistics.median(mine / theirs for mine, theirs in pairs)
            line += f"  {more:+6.1f} ms, {ratio:.2f} times {against}"
        if (docker := seconds.get("docker run")) and name.startswith("botdock, ") and "docker" not in name:
            line += (
                f", {statistics.median(mine / theirs for mine, theirs in both(values, docker)):.2f} times docker run"
            )
        print(line)


def both(mine: list[float | None], theirs: list[float | None]) -> Iterator[tuple[float, float]]:
    for one, other in zip(mine, theirs, strict=True):
        if one is not None and other is not None:
            yield one, other


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
