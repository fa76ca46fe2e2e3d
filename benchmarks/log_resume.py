"""A log of a million lines (100 MB) that is stored but for its end, continued, against its raw stream read and dropped.

Both from the daemon that keeps it, after the container's end, in turn, in one process. Continued is what a runner does
whose predecessor was killed: find where what is stored ends, skip that, store the rest. What is printed is the median
of each, and the ratio of each round. `log_resume.py LINES` takes another number of lines.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from log_collection import LINE, LINES, PATIENCE, Bench  # noqa: E402 - after the path of the testbed

from botdock import Config  # noqa: E402 - as above
from botdock.config import LoggingConfig  # noqa: E402 - as above
from botdock.model import ContainerHandle, LogChunk, LogCursor, LogSource, LogStream  # noqa: E402 - as above
from botdock.services import LogCollector  # noqa: E402 - as above
from botdock.services.log_store import LogWriter  # noqa: E402 - as above
from botdock_engine_docker.engine import DockerEngine  # noqa: E402 - as above
from testbed.images import ensure_images  # noqa: E402 - as above
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - as above

ROUNDS = 5
REST = 1_000_000
"""Bytes that are not stored yet."""


@attrs.frozen
class Resume:
    """An ended container, and its log but for the end."""

    host: str
    container: str
    engine: DockerEngine
    stored: Path
    size: int

    def store(self) -> None:
        """Store what a runner had that was killed."""
        left = self.size - REST
        writer = LogWriter(self.stored)
        with self.engine.read_logs(
            ContainerHandle(id=self.container), cursor=LogCursor(), follow=False, timeout=PATIENCE
        ) as stream:
            while left and not stream.ended:
                for chunk in stream.read(PATIENCE):
                    writer.append(LogChunk(chunk.stream, chunk.data[:left], chunk.time_ns))
                    left -= min(left, len(chunk.data))
        writer.close()

    def resume(self, folder: Path) -> float:
        """Return the seconds until all of it is stored."""
        shutil.copytree(self.stored, folder)
        collector = LogCollector(LoggingConfig())
        source = LogSource(execution_id="01", id="flood", runtime="python311")
        started = time.perf_counter()
        collector.start_collection(None, folder, source=source, limit=None, reopen=self._open)
        assert collector.wait_drained("01", PATIENCE)
        summary = collector.stop_collection("01")
        seconds = time.perf_counter() - started
        assert (summary.bytes, summary.complete, summary.gaps) == (self.size, True, 0), summary
        collector.close()
        shutil.rmtree(folder)
        return seconds

    def _open(self, cursor: LogCursor) -> LogStream:
        return self.engine.read_logs(ContainerHandle(id=self.container), cursor=cursor, follow=True, timeout=PATIENCE)

    def drop(self) -> float:
        """Return the seconds that it takes to read what the daemon has kept, and drop it."""
        started, size = time.perf_counter(), 0
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(self.host.removeprefix("unix://"))
            target = f"/containers/{self.container}/logs?stdout=1&stderr=1&timestamps=1"
            raw.sendall(f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
            while piece := raw.recv(256 * 1024):
                size += len(piece)
        assert size > self.size, size
        return time.perf_counter() - started


def main(lines: int) -> None:
    lease = Lease() if may_own_a_daemon() else None
    try:
        host = find_engine(lease.daemon if lease else None).host
        engine = DockerEngine.from_config(Config.load(environ={}, overrides={"docker": {"host": host}}))
        bench = Bench(host, ensure_images(host)["python311"], "line", lines)
        with bench.container() as (client, container), tempfile.TemporaryDirectory() as folder:
            client.start(container)
            client.wait(container)
            measure(Resume(host, container, engine, Path(folder) / "stored", bench.size), Path(folder) / "logs")
        engine.close()
    finally:
        if lease:
            lease.give_back()


def measure(bench: Resume, folder: Path) -> None:
    bench.store()
    rounds = []
    for number in range(ROUNDS + 1):
        if number % 2:
            ours, raw = bench.resume(folder), bench.drop()
        else:
            raw, ours = bench.drop(), bench.resume(folder)
        if number:  # the first round warms up
            rounds.append((ours, raw))
    print(f"{bench.size / 1e6:.0f} MB in lines of {LINE} bytes, of which all but {REST / 1e6:.0f} MB is stored:")
    for name, seconds in zip(("continued", "raw, dropped"), zip(*rounds, strict=True), strict=True):
        middle = statistics.median(seconds)
        print(f"  {name:13} median {middle:6.2f} s  min {min(seconds):6.2f}  {bench.size / 1e6 / middle:5.0f} MB/s")
    ratios = [raw / ours for ours, raw in rounds]
    print(f"  continued at {statistics.median(ratios):.2f} times the raw stream's speed (min {min(ratios):.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LINES)
