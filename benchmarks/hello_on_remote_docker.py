"""What a Docker elsewhere costs: hello on one daemon by its own socket, over TCP with TLS, and over ssh.

All in turn, in one process; the first binds our files, the others send them. What is printed is the median and the
least of each, and the ratios. The network is the loopback: a far one adds three round trips for each of 17 calls over
TLS (TCP, TLS, the call), and two over ssh (the channel, the call).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from botdock import Config, DockerRunner, Executable, PluginManager  # noqa: E402 - after the path of the testbed
from testbed.foreign import ForeignDaemon  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - after the path of the testbed
from testbed.provision import Lease, may_own_a_daemon  # noqa: E402 - after the path of the testbed
from testbed.sshd import PrivateSshd  # noqa: E402 - after the path of the testbed

ROUNDS = int(os.environ.get("ROUNDS", "20"))


def main() -> None:
    if not may_own_a_daemon():
        print("skipped: only root can have a Docker that does not see this machine's files")
        return
    lease = Lease(kind=ForeignDaemon)
    try:
        lease.daemon.start()
        assert isinstance(lease.daemon, ForeignDaemon)
        compare(lease.daemon)
    finally:
        lease.give_back()


def compare(daemon: ForeignDaemon) -> None:
    image = ensure_images(daemon.host)["python311"]
    hello = Executable(id="hello", runtime="python3.11", file_path=str(ROOT / "examples/hello-python"))
    tls = {"tls_verify": True, "cert_path": str(daemon.certificates)}
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(dir=daemon.folder))  # which the daemon sees
        sshd = stack.enter_context(served(daemon))
        ways: dict[str, Callable[[], None]] = {}
        for name, docker in {
            "own socket": {"host": daemon.host},
            "TCP with TLS": {"host": daemon.url, **tls},
            "ssh": {"host": sshd.url},
        }.items():
            settings = {"engine": "docker", "home": f"{home}/{name}", "docker": docker}
            config = Config.load(environ={}, overrides={**settings, "runtime": {"images": {"python311": image}}})
            runner = stack.enter_context(DockerRunner(config, plugins=PluginManager.load(config.plugins)))
            ways[name] = lambda runner=runner: check(runner, hello)  # type: ignore[misc] # mypy takes it for a parameter
        report(measure(ways))


@contextmanager
def served(daemon: ForeignDaemon) -> Iterator[PrivateSshd]:
    """Start a sshd before the daemon, and let `ssh` on PATH know it."""
    server = PrivateSshd(Path(tempfile.mkdtemp(prefix="sshd-", dir=daemon.folder)), daemon.run_dir)
    before = os.environ["PATH"]
    try:
        server.start()
        os.environ["PATH"] = f"{server.bin}{os.pathsep}{before}"
        yield server
    finally:
        os.environ["PATH"] = before
        server.delete()


def check(runner: DockerRunner, hello: Executable) -> None:
    result = runner.run(hello)
    assert result.succeeded, result.error


def measure(ways: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Return how long each way took, in milliseconds, in rounds; the first, which connects, is not among them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if number:
                taken[name].append((time.perf_counter() - begun) * 1000)
    return taken


def report(taken: dict[str, list[float]]) -> None:
    own = taken["own socket"]
    for name, times in taken.items():
        ratio = statistics.median(here / there for here, there in zip(times, own, strict=True))
        figures = f"median {statistics.median(times):6.0f} ms  min {min(times):6.0f} ms"
        print(f"{name:14} {figures}  {ratio:.2f} of the own socket's")


if __name__ == "__main__":
    main()
