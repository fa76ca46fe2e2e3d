"""A `dockerd` of our own, beside whatever Docker the user has."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import docker
import requests

from testbed.cgroups import prepare_cgroups
from testbed.console import TestbedError, run
from testbed.packages import SYSTEM_PATH, ensure_programs, find_program
from testbed.processes import end_process, read_or_empty
from testbed.suites import ensure_usr, wanted_suite, within
from testbed.waiting import wait_until

START_TIMEOUT = 90.0
DEFAULT_HOST = "unix:///var/run/docker.sock"


class PrivateDaemon:
    """A daemon with its own socket, data and pid file; only root can have one.

    Args:
        folder: Where images and layers lie; they stay there for the next session.

    Attributes:
        live_restore: Whether containers go on when it is started anew after a crash; else that ends them.
        suite: The Debian whose Docker it is; empty for the installed one, None for what the session wants.
    """

    def __init__(self, folder: Path, suite: str | None = None) -> None:
        self.folder = folder
        self.suite = wanted_suite() if suite is None else suite
        self.log_file = folder / "dockerd.log"
        # Sockets below it must stay under the 107 bytes that a socket's path may have, however long `folder` is.
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:10]
        self.run_dir = Path("/run") / f"botdock-testbed-{name}"
        self.socket = self.run_dir / "docker.sock"
        self.pid_file = self.run_dir / "pid"
        self.host = f"unix://{self.socket}"
        self.live_restore = True

    @property
    def pid(self) -> int | None:
        """The pid of our running daemon, whichever worker started it."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.pid_file).encode() in command else None

    def start(self) -> None:
        """Start it and wait until it answers; one that runs already is kept.

        Raises:
            TestbedError: It did not come up; with the end of its log.
        """
        if self.pid is not None and self.answers():
            return
        self.kill()
        command = within(ensure_usr(self.suite), self._command()) if self.suite else self._command()
        ensure_programs(*(() if self.suite else ("dockerd", "iptables")))
        prepare_cgroups()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # so that Ctrl-C reaches the tests and not the daemon, which we stop in order
            )
        if not wait_until(lambda: self.answers() or process.poll() is not None, timeout=START_TIMEOUT):
            process.kill()
        if process.poll() is not None or not self.answers():
            process.wait()
            raise TestbedError(f"dockerd did not come up; the end of {self.log_file}:\n{self.log_tail()}")
        # It outlives this object on purpose: another worker of the session may stop it, by its pid file.
        process.returncode = 0

    def _command(self) -> list[str]:
        return [
            "dockerd" if self.suite else find_program("dockerd") or "dockerd",
            f"--host={self.host}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.run_dir / 'exec'}",
            f"--pidfile={self.pid_file}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            *(["--live-restore"] if self.live_restore else []),
        ]

    def answers(self) -> bool:
        """Whether it answers a ping."""
        return ping(self.host)

    def client(self, timeout: int = 60) -> docker.APIClient:
        """Return a client; the caller closes it."""
        return docker.APIClient(base_url=self.host, version="auto", timeout=timeout)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would: containers go on."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Remove every container and end it; nothing of it runs afterwards."""
        if not self._left_processes():
            return
        with suppress(docker.errors.DockerException, requests.RequestException, TestbedError):
            self.remove_containers()
        self._end(signal.SIGTERM)
        for shim in self._left_processes():
            with suppress(ProcessLookupError):
                os.kill(shim, signal.SIGKILL)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def remove_containers(self) -> list[str]:
        """Remove all containers, running or not, and all volumes; return the containers' names."""
        self.start()
        with closing(self.client()) as client:
            found = client.containers(all=True)
            for container in found:
                client.remove_container(container["Id"], force=True, v=True)
            for volume in client.volumes()["Volumes"] or ():
                client.remove_volume(volume["Name"], force=True)
        return [name for container in found for name in container["Names"]]

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        end_process(pid, number)
        # The kernel kills its containerd after it; a successor that came earlier would wait for the dying one.
        containerd_pid = self.run_dir / "exec/containerd/containerd.pid"
        if containerd_pid.is_file():
            end_process(int(containerd_pid.read_text()), None)
        for file in (containerd_pid, self.pid_file, self.socket):
            file.unlink(missing_ok=True)

    def _left_processes(self) -> list[int]:
        """Return the daemon, containerd and its shims, which are told apart by our folder in their arguments."""
        mark = str(self.run_dir).encode()
        return [
            int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/cmdline") if mark in read_or_empty(entry)
        ]

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        text = self.log_file.read_text(errors="replace") if self.log_file.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def delete(self) -> None:
        """Stop it and delete its images and layers."""
        self.stop()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            target = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[1])
            if Path(target).is_relative_to(self.folder):
                run(["umount", target], timeout=30)
        shutil.rmtree(self.folder / "data", ignore_errors=True)


def ping(host: str) -> bool:
    """Whether a Docker engine answers at `host`; an empty text means the default socket."""
    path = (host or DEFAULT_HOST).removeprefix("unix://")
    # docker-py leaves a socket open that it cannot connect, so that this is asked without it.
    if path.startswith("/") and not _accepts(path):
        return False
    try:
        with closing(docker.APIClient(base_url=host or None, timeout=5)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COVERAGE_"))}
    return {**kept, "PATH": SYSTEM_PATH}
