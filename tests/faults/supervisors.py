"""Supervisors in processes of their own, over one state folder, that drills replace, kill and judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from botdock.config import Config, document, to_toml
from botdock.executions import ExecutionRecord, Executions
from botdock.model import Executable, Outcome, Stream
from botdock.services.log_store import StoredLog
from botdock.supervisor import submit
from testbed.waiting import until, wait_until

PATIENCE = 120.0
KEPT = {"request.json", "events.jsonl", "result.json", "outcome.json", "logs"}
COUNTING = """
import sys
import time


def main(id, config):
    until, number = time.monotonic() + config["seconds"], 0
    while time.monotonic() < until:
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
        number += 1
        time.sleep(config.get("pause", 0.005))
    return number
"""
"""Writes numbers for so many seconds, and returns how many."""


class Place:
    """A state folder, and what works on it.

    Args:
        config: Of supervisors and callers.
        folder: For what the drill needs.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.home = config.home_dir
        self.executions = Executions(self.home)
        self.config_file = folder / "botdock.toml"
        self.config_file.write_text(to_toml(document(config, show_secrets=True)))
        self.code = folder / "counting"
        self.code.mkdir()
        (self.code / "bot.py").write_text(COUNTING)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def supervise(self, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a supervisor."""
        number = len(self._processes)
        with (self._folder / f"supervisor-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "botdock_cli", "supervise", "--config-file", str(self.config_file), *options],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a supervisor has told."""
        return (self._folder / f"supervisor-{self._processes.index(process)}.log").read_text()

    def settled(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a supervisor watches."""
        until(lambda: process.poll() is not None or "begins" in self.said(process), timeout=PATIENCE)
        assert process.poll() is None, self.said(process)

    def start(self, **fields: Any) -> str:
        """Ask for a bot that counts."""
        executable = Executable(**{"id": "counting", "file_path": str(self.code), "timeout": PATIENCE, **fields})
        return submit(executable, config_file=self.config_file, spawn=False).execution_id

    def ended(self, names: list[str]) -> list[ExecutionRecord]:
        """Wait until all have ended."""
        deadline = time.monotonic() + PATIENCE
        return [self.executions.wait(name, timeout=max(deadline - time.monotonic(), 0.0)) for name in names]

    def close(self) -> None:
        """Let all supervisors hand over, and end."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(PATIENCE)

    def problems(self, names: list[str]) -> Iterator[str]:
        """Yield what is wrong with bots that counted to their end, whatever became of their runners."""
        for record in self.ended(names):
            end = self.executions.inspect(record.execution_id)["end"] or {}
            if record.outcome is not Outcome.SUCCEEDED:
                yield f"{record.execution_id}: {record.state} {record.outcome} {record.error} {end.get('evidence')}"
                continue
            text = stored(record, Stream.STDOUT)
            wanted = "".join(f"{number}\n" for number in range(self.executions.result(record.execution_id)))
            if text != wanted:
                yield f"{record.execution_id}: its log has {len(text)} characters of {len(wanted)}"
            if not end["log"]["complete"] or end["log"]["gaps"]:
                yield f"{record.execution_id}: {end['log']}"
            if not wait_until(partial(is_tidy, record.directory), timeout=PATIENCE):  # its runner tidies up at last
                yield f"{record.execution_id}: left {sorted(path.name for path in record.directory.iterdir())}"
        if left := [path.name for path in (self.home / "requests").iterdir() if path.suffix == ".json"]:
            yield f"requests: {left}"


def is_tidy(directory: Path) -> bool:
    """Tell whether the folder of an execution that has ended holds no more than its record."""
    return {path.name for path in directory.iterdir()} <= KEPT


def stored(record: ExecutionRecord, stream: Stream) -> str:
    """Return what the log has of a stream."""
    return b"".join(chunk.data for chunk in StoredLog(record.logs).chunks() if chunk.stream is stream).decode()


def steps(record: ExecutionRecord) -> list[str]:
    """Return the names of the steps of an execution."""
    lines = (record.directory / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]
