"""A million lines (100 MB) of a container, stored with counts and hashes, against the same bytes read and dropped.

Both over the same attach socket, in turn, in one process, from the container's start to its end; and against
docker-py's `logs(stream=True)` of the same container after its end, once, since that takes so long. What is printed is
the median of each, the ratio of the times of each round, and by how much the peak of a process' memory grows over a log
of 100 MB and over one of 1 GB.

Then whole runs of a bot that writes as much, by the engines oci and Docker, to the record of their end: against crun
with the same bundle and a file as its output, and against `docker logs` of the same container.

    python benchmarks/log_collection.py                  all of it
    python benchmarks/log_collection.py runs 100000 1    runs alone, of so many lines, so many rounds after the first
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import docker
from _setup import PATIENCE, leave_second_cgroups, machine, settings
from cold_hello import keep_bundle

from botdock import Config, DockerRunner, Executable
from botdock.config import LoggingConfig
from botdock.model import ContainerHandle, LogSource
from botdock.services import LogCollector
from botdock_engine_docker.engine import DockerEngine
from testbed.packages import find_program

LINES = 1_000_000
LINE = 100
ROUNDS = {"block": 7, "line": 3}
BOT = """
import sys
sys.stdout.reconfigure(line_buffering={line_buffered})
lines = [f"{{number:0{width}}}\\n" for number in range(1000)]
for _ in range({lines} // 1000):
    for line in lines:
        sys.stdout.write(line)
"""
RUN = """
import sys
def main(id, config):
    lines = [f"{{number:0{width}}}\\n" for number in range(1000)]
    for _ in range({lines} // 1000):
        for piece in ["".join(lines)] if {block} else lines:
            sys.stdout.write(piece)
"""


def main() -> None:
    leave_second_cgroups()
    print(machine())
    with settings("docker") as extra:
        host, image = extra["docker"]["host"], extra["runtime"]["images"]["python311"]
        for buffering in ROUNDS:
            compare(Bench(host, image, buffering, LINES))
        for lines in (LINES, 10 * LINES):
            grown = grown_memory(Bench(host, image, "block", lines))
            print(f"{lines * LINE / 1e6:.0f} MB: the peak of the process grew by {grown / 1e6:.1f} MB")
    runs(LINES, ROUNDS)


@attrs.frozen
class Bench:
    """Containers that write a number of lines each, `block`- or `line`-buffered."""

    host: str
    image: str
    buffering: str
    lines: int

    @property
    def size(self) -> int:
        return self.lines * LINE

    @contextmanager
    def container(self) -> Iterator[tuple[docker.APIClient, str]]:
        client = docker.APIClient(base_url=self.host, timeout=PATIENCE)
        logs = {"Type": "local", "Config": {"max-size": "256m", "max-file": "2"}}
        limits = client.create_host_config(network_mode="none", log_config=logs)
        program = BOT.format(line_buffered=self.buffering == "line", width=LINE - 1, lines=self.lines)
        made = client.create_container(self.image, ["python3", "-c", program], host_config=limits)
        try:
            yield client, made["Id"]
        finally:
            client.remove_container(made["Id"], force=True)
            client.close()

    def collect(self, collector: LogCollector, folder: Path) -> float:
        """Return the seconds that it takes to store all of it."""
        config = Config.load(environ={}, overrides={"docker": {"host": self.host}})
        engine = DockerEngine.from_config(config)
        with self.container() as (client, container):
            source = LogSource(execution_id=container, id="flood", runtime="python311")
            collector.start_collection(
                engine.attach(ContainerHandle(id=container), timeout=10), folder, source=source, limit=None
            )
            started = time.perf_counter()
            client.start(container)
            assert collector.wait_drained(container, PATIENCE)
            summary = collector.stop_collection(container)
            seconds = time.perf_counter() - started
        assert (summary.bytes, summary.lines, summary.complete) == (self.size, self.lines, True), summary
        collector.forget(container)
        engine.close()
        shutil.rmtree(folder)
        return seconds

    def drop(self) -> float:
        """Return the seconds that it takes to read the same socket and drop what comes."""
        with self.container() as (client, container):
            raw = client.attach_socket(container, params={"stdout": 1, "stderr": 1, "stream": 1})
            size, started = 0, time.perf_counter()
            client.start(container)
            while piece := raw._sock.recv(256 * 1024):  # noqa: SLF001 - docker-py's way to the socket
                size += len(piece)
            client.wait(container)
            seconds = time.perf_counter() - started
            raw.close()
        assert size > self.size, size
        return seconds

    def read_again(self) -> float:
        """Return the seconds that it takes docker-py to read the log of a container that has ended, and drop it."""
        with self.container() as (client, container):
            client.start(container)
            client.wait(container)
            started = time.perf_counter()
            size = sum(map(len, client.logs(container, stream=True)))
            seconds = time.perf_counter() - started
        assert size == self.size, size
        return seconds

    def read_by_docker(self) -> float:
        """Return the seconds that Docker's own command line takes for the same, from what it has stored."""
        with self.container() as (client, container):
            client.start(container)
            client.wait(container)
            environment = {**os.environ, "DOCKER_HOST": self.host}
            command = [find_program("docker") or "docker", "logs", container]
            started = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return time.perf_counter() - started


def compare(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collector = LogCollector(LoggingConfig())
        ways: dict[str, Callable[[], float]] = {
            "stored": lambda: bench.collect(collector, Path(folder) / "logs"),
            "read and dropped": bench.drop,
        }
        seconds = in_turn(ways, ROUNDS[bench.buffering])
        collector.close()
    seconds["docker-py"] = [bench.read_again()]
    report(bench, seconds, "stored")


def in_turn(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in ways if number % 2 else reversed(ways):
            took = ways[name]()
            if number:  # the first round warms up
                seconds[name].append(took)
    return seconds


def report(bench: Bench, seconds: dict[str, list[float]], ours: str) -> None:
    own = seconds[ours]
    print(f"{bench.lines} lines, {bench.size / 1e6:.0f} MB, {bench.buffering}-buffered by the bot:")
    for name, values in seconds.items():
        middle = statistics.median(values)
        pairs = zip(values, own, strict=True) if len(values) == len(own) else [(middle, statistics.median(own))]
        ratio = statistics.median(theirs / mine for theirs, mine in pairs)
        print(
            f"  {name:17} median {middle:6.2f} s  min {min(values):6.2f}  max {max(values):6.2f}"
            f"  {bench.size / 1e6 / middle:5.0f} MB/s; {ours} is {ratio:5.2f} times as fast"
        )


def runs(lines: int, rounds: Mapping[str, int]) -> None:
    """Compare whole runs, whose logs are stored with counts and hashes."""
    with settings("docker") as extra, settings("oci") as oci:
        for buffering in rounds:
            bench = Bench(extra["docker"]["host"], extra["runtime"]["images"]["python311"], buffering, lines)
            with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
                ways = {
                    **whole_runs("oci", oci, bench, Path(folder) / "oci", stack),
                    **whole_runs("docker", extra, bench, Path(folder) / "docker", stack),
                    "docker logs, read": bench.read_by_docker,
                }
                report(bench, in_turn(ways, rounds[buffering]), next(iter(ways)))


def whole_runs(
    engine: str, extra: Mapping[str, Any], bench: Bench, folder: Path, stack: ExitStack
) -> dict[str, Callable[[], float]]:
    """Return a run of an engine, and of oci what its runtime does alone."""
    code = folder / "code"
    code.mkdir(parents=True)
    program = RUN.format(block=bench.buffering == "block", width=LINE - 1, lines=bench.lines)
    (code / "main.py").write_text(program)
    limits = {"output": 2 * bench.size, "file_size": 2 * bench.size}
    flood = Executable(id="flood", runtime="python3.11", file_path=str(code), limits=limits)
    config = Config.load(environ={}, overrides={**extra, "home": str(folder / "home")})
    runner = stack.enter_context(DockerRunner(config))

    def stored() -> float:
        started = time.perf_counter()
        result = runner.run(flood)
        seconds = time.perf_counter() - started
        log = result.log
        assert (log.bytes, log.lines, log.complete) == (bench.size, bench.lines, True), (log, result.error)
        shutil.rmtree(config.home_dir / "logs", ignore_errors=True)
        return seconds

    ways = {f"{engine}, stored": stored}
    if engine == "oci":
        bundle, crun = keep_bundle(runner, flood, folder / "kept"), extra["options"]["oci"]["runtime"]
        command = [crun, "--root", str(folder / "state"), "run", "--bundle", str(bundle), "bare-flood"]

        def alone() -> float:
            started = time.perf_counter()
            with (folder / "file").open("wb") as file:
                subprocess.run(command, check=True, stdout=file)
            seconds = time.perf_counter() - started
            assert (folder / "file").stat().st_size == bench.size
            return seconds

        ways["crun run > file"] = alone
    return ways


def grown_memory(bench: Bench) -> int:
    """Return the bytes by which a new process' peak grows over one log, after a small one of the same kind."""
    arguments = json.dumps(attrs.asdict(bench))
    done = subprocess.run([sys.executable, __file__, arguments], check=True, capture_output=True, text=True)
    return int(done.stdout)


def collect_alone(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collector = LogCollector(LoggingConfig())
        attrs.evolve(bench, lines=1000).collect(collector, Path(folder) / "logs")
        before = peak()
        bench.collect(collector, Path(folder) / "logs")
        print(peak() - before)
        collector.close()


def peak() -> int:
    """Return the largest resident size that this process has had; `ru_maxrss` would begin with its parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["runs"]:
        leave_second_cgroups()
        print(machine())
        runs(int(sys.argv[2]), dict.fromkeys(ROUNDS, int(sys.argv[3])))
    elif sys.argv[1:]:
        collect_alone(Bench(**json.loads(sys.argv[1])))
    else:
        main()
