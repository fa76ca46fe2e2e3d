"""What a supervisor costs while it only watches: threads, descriptors, processor and memory, by the number of bots.

Bots that sleep, on the process engine and on Docker; what is printed is the supervisor's own, without shims and daemon.
`python benchmarks/idle_supervisor.py process 1000` measures one of the two with so many bots.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from botdock import Executable  # noqa: E402 - after the path of the testbed
from botdock.executions import Executions  # noqa: E402 - after the path of the testbed
from botdock.supervisor import submit  # noqa: E402 - after the path of the testbed
from testbed.images import ensure_images  # noqa: E402 - after the path of the testbed
from testbed.provision import Lease, find_engine, may_own_a_daemon  # noqa: E402 - after the path of the testbed

BOTS = {"process": 1000, "docker": 200}
SECONDS = 60.0
"""Of watching, without a change."""
PATIENCE = 1800.0
TICKS = os.sysconf("SC_CLK_TCK")


def main(wanted: Mapping[str, int]) -> None:
    lease = Lease() if "docker" in wanted and may_own_a_daemon() else None
    try:
        for engine, bots in wanted.items():
            changes: dict[str, Any] = {"engine": engine, "supervisor": {"parallel": bots}}
            if engine == "docker":
                host = find_engine(lease.daemon if lease else None).host
                images = {"bash": ensure_images(host)["bash"]}
                changes |= {"docker": {"host": host}, "runtime": {"images": images}}
            with tempfile.TemporaryDirectory() as folder:
                measure(engine, bots, Path(folder), changes)
    finally:
        if lease:
            lease.give_back()


def measure(engine: str, bots: int, folder: Path, changes: Mapping[str, Any]) -> None:
    """Let a supervisor watch over so many bots, and print what it takes."""
    home, code = folder / "home", folder / "code"
    code.mkdir()
    (code / "main.sh").write_text("exec sleep infinity\n")
    os.environ["BOTDOCK_HOME"] = str(home)
    config = folder / "botdock.toml"
    config.write_text(f"[supervisor]\nparallel = {bots}\nqueue = {bots}\n")
    overrides = {key: value for key, value in changes.items() if key != "supervisor"}
    command = [sys.executable, "-m", "botdock_cli", "--config-file", str(config), "supervise"]
    supervisor = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        names = [ask(config, overrides, code, "bot0")]
        until_they_run(home, 1)
        before = taken(supervisor.pid)
        names += [ask(config, overrides, code, f"bot{number}") for number in range(1, bots)]
        started = time.monotonic()
        until_they_run(home, bots)
        seconds = time.monotonic() - started
        time.sleep(5)  # until the threads of the start have ended
        now = taken(supervisor.pid)
        time.sleep(SECONDS)
        busy = (taken(supervisor.pid)["busy"] - now["busy"]) * 60 / SECONDS
        each = (now["bytes"] - before["bytes"]) / max(bots - 1, 1)
        print(
            f"{engine}: {bots} bots, all running after {seconds:.0f} s; threads {now['threads']:.0f}, "
            f"descriptors {now['descriptors']:.0f}; busy {busy:.2f} s a minute, {busy / 60:.2%} of one processor; "
            f"{each / 1000:.0f} KB of its own memory a bot"
        )
        for name in names:
            Executions(home).request_stop(name, grace=0.0)
        for name in names:
            Executions(home).wait(name, timeout=PATIENCE)
    finally:
        supervisor.terminate()
        supervisor.wait()


def ask(config: Path, overrides: Mapping[str, Any], code: Path, name: str) -> str:
    bot = Executable(id=name, runtime="bash", file_path=str(code), is_long_running=True)
    return submit(bot, config_file=config, overrides=overrides, spawn=False).execution_id


def until_they_run(home: Path, bots: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while sum('"wait"' in path.read_text() for path in home.glob("executions/*/events.jsonl")) < bots:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{bots} bots did not run within {PATIENCE:g} s")
        time.sleep(0.5)


def taken(pid: int) -> dict[str, float]:
    """Return what a process has: threads, descriptors, seconds on a processor, bytes that no other process shares."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    rollup = (process / "smaps_rollup").read_text().splitlines()
    private = [int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean", "Private_Dirty"))]
    return {
        "threads": len(list((process / "task").iterdir())),
        "descriptors": len(list((process / "fd").iterdir())),
        "busy": (int(fields[11]) + int(fields[12])) / TICKS,
        "bytes": sum(private) * 1024,
    }


if __name__ == "__main__":
    main({sys.argv[1]: int(sys.argv[2])} if len(sys.argv) > 2 else BOTS)  # noqa: PLR2004 - an engine and a number
