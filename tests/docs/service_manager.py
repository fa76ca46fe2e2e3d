"""Stands in for `systemctl` where no systemd runs: starts what a unit file says, and waits until that says it is ready.

    python service_manager.py FOLDER VERB [--now] [UNIT]

FOLDER holds the unit files, and what is known of those that run.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

PATIENCE = 120.0


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the values of each key of a unit file; a key may stand there several times."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        key, mark, value = line.partition("=")
        if mark and not line.startswith(("#", ";", "[")):
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def start(folder: Path, unit: str) -> str:
    """Start a unit of Type=notify, and return when it has said that it is ready."""
    wanted = read_unit(folder / f"{unit}.service")
    assert wanted["Type"] == ["notify"]
    address = folder / f"{unit}.sock"
    address.unlink(missing_ok=True)
    environment = dict(pair.split("=", 1) for value in wanted.get("Environment", []) for pair in shlex.split(value))
    with (
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notify,
        (folder / f"{unit}.log").open("ab") as log,
    ):
        notify.bind(str(address))
        notify.settimeout(PATIENCE)
        process = subprocess.Popen(
            shlex.split(wanted["ExecStart"][0]),
            env={**os.environ, **environment, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "120000000"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        (folder / f"{unit}.pid").write_text(str(process.pid))
        while "READY=1" not in notify.recv(65_536).decode().splitlines():
            assert process.poll() is None
    process.returncode = 0  # it outlives this process
    return ""


def stop(folder: Path, unit: str) -> str:
    """Stop a unit of KillMode=process: only the process that was started is told to end."""
    assert read_unit(folder / f"{unit}.service")["KillMode"] == ["process"]
    pid = int((folder / f"{unit}.pid").read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while is_active(folder, unit) == "active":
        assert time.monotonic() < deadline, f"{unit} does not end"
        time.sleep(0.05)
    return ""


def restart(folder: Path, unit: str) -> str:
    """Stop and start it."""
    return stop(folder, unit) + start(folder, unit)


def is_active(folder: Path, unit: str) -> str:
    """Say whether its process lives."""
    with suppress(OSError, ValueError):
        state = (
            Path(f"/proc/{int((folder / f'{unit}.pid').read_text())}/stat").read_text().rpartition(")")[2].split()[0]
        )
        return "inactive" if state == "Z" else "active"
    return "inactive"


VERBS = {"start": start, "enable": start, "stop": stop, "restart": restart, "is-active": is_active}

if __name__ == "__main__":
    place, verb, *rest = sys.argv[1:]
    if verb != "daemon-reload":
        print(VERBS[verb](Path(place), rest[-1]))
