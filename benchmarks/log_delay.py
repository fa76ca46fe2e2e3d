"""From a line's write in a bot to its being read from `botdock logs -f`, which is another process: on Docker."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from botdock import Config, DockerRunner, Executable, PluginManager  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - as above
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - as above

LINES = 300
PAUSE = 0.03
COMMAND = str(Path(sys.executable).with_name("botdock"))
BOT = f"""
import time

def main(id, config):
    print("ready")
    time.sleep(2)  # until the command follows
    for _ in range({LINES}):
        print(time.time_ns())
        time.sleep({PAUSE})
"""


def main() -> None:
    lease = Lease() if may_own_a_daemon() else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            report(measure(find_engine(lease.daemon if lease else None).host, Path(folder)))
    finally:
        if lease:
            lease.give_back()


def measure(host: str, folder: Path) -> list[float]:
    (folder / "bot").mkdir()
    (folder / "bot/main.py").write_text(BOT)
    settings = {
        "engine": "docker",
        "home": str(folder / "home"),
        "docker": {"host": host},
        "runtime": {"images": {"python311": ensure_images(host)["python311"]}},
    }
    config = Config.load(environ={}, overrides=settings)
    with DockerRunner(config, plugins=PluginManager.load(config.plugins)) as runner:
        execution = runner.start(Executable(id="clock", runtime="python3.11", file_path=str(folder / "bot")))
        delays = follow(folder / "home", execution.execution_id)
        result = execution.wait(timeout=60)
        assert result is not None and result.succeeded, result  # noqa: PT018 - one thing
    return delays


def follow(home: Path, execution_id: str) -> list[float]:
    """Return the seconds that each line took."""
    environment = {**os.environ, "BOTDOCK_HOME": str(home)}
    command = [COMMAND, "logs", "-f", execution_id]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, bufsize=0) as process:
        delays = []
        for line in process.stdout or ():
            seen = time.time_ns()
            if line.strip().isdigit():
                delays.append((seen - int(line)) / 1e9)
    assert process.returncode == 0, process.returncode
    assert len(delays) == LINES, len(delays)
    return delays


def report(delays: list[float]) -> None:
    median, last = statistics.median(delays), statistics.quantiles(delays, n=100)[-1]
    print(
        f"{len(delays)} lines, one each {PAUSE * 1000:.0f} ms: median {median * 1000:.1f} ms, p99 {last * 1000:.1f} ms,"
        f" max {max(delays) * 1000:.1f} ms from the bot's write to the reader of `logs -f`"
    )


if __name__ == "__main__":
    main()
