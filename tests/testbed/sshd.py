"""A `sshd` on the loopback that lets one key in, to a machine where Docker's socket is that of a private daemon."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

from testbed.console import TestbedError, run
from testbed.foreign import free_port
from testbed.packages import find_program, unpacked_program
from testbed.processes import read_or_empty
from testbed.waiting import wait_until

_LIBRARY = f"usr/lib/{os.uname().machine}-linux-gnu"
_START_TIMEOUT = 30.0
# In a mount namespace of its own, so that nothing of the machine changes: sshd wants a user and a folder, and Docker's
# own socket is to be the daemon's.
_SCRIPT = """
set -e
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount --bind "$2" "$1/far"
mount -t tmpfs none /run
mkdir /run/sshd
touch /run/docker.sock
mount --bind "$1/far/docker.sock" /run/docker.sock
shift 2
exec "$@"
"""
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
"""
_CLIENT = """
Host far farm
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile {folder}/user_key
Host *
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking yes
"""


class PrivateSshd:
    """A server, and a `ssh` that knows it as the host `far`; only root can have one.

    Args:
        folder: Where its keys lie.
        docker: The folder of a daemon's socket.

    Attributes:
        url: Docker's address behind it.
        bin: The folder of a program `ssh` whose configuration is the folder's; for PATH.
    """

    def __init__(self, folder: Path, docker: Path) -> None:
        self.url = "ssh://far"
        self.folder = folder
        self.bin = folder / "bin"
        self.log_file = folder / "sshd.log"
        self.port = free_port()
        self._docker = docker
        self._process: subprocess.Popen[bytes] | None = None
        for place in (self.bin, folder / "far"):
            place.mkdir(parents=True)
        for name in ("host_key", "user_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], timeout=30)
        host_key = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        (folder / "sshd_config").write_text(_CONFIG.format(port=self.port, folder=folder))
        (folder / "ssh_config").write_text(_CLIENT.format(port=self.port, folder=folder))
        (folder / "passwd").write_text("root:x:0:0::/root:/bin/sh\nsshd:x:65500:65534::/run/sshd:/usr/sbin/nologin\n")
        (folder / "shadow").write_text("root:*:19000:0:99999:7:::\n")
        wrapper = self.bin / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {find_program("ssh")} -F {folder}/ssh_config "$@"\n')
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            TestbedError: It did not come up; with its log.
        """
        program = unpacked_program("openssh-server", "sshd", "usr/sbin")
        library = (
            "" if program.is_relative_to("/usr") else str(unpacked_program("libwrap0", "libwrap.so.0", _LIBRARY).parent)
        )
        server = [str(program), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh"]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.folder), str(self._docker), *server],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "LD_LIBRARY_PATH": library},
                start_new_session=True,
            )
        if not wait_until(self._answers, timeout=_START_TIMEOUT):
            self.stop()
            raise TestbedError(f"sshd did not come up: {self.log_file.read_text(errors='replace')}")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def sessions(self) -> list[int]:
        """Return the processes that serve connections, which are children of the server."""
        mark = f"PPid:\t{self._process.pid}\n".encode() if self._process else b"-"
        return [int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/status") if mark in read_or_empty(entry)]

    def cut(self) -> int:
        """Kill the sessions, as a network does that is gone; return how many there were."""
        sessions = self.sessions()
        for pid in sessions:
            os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def stop(self) -> None:
        """End it with all sessions."""
        if self._process is not None:
            self.cut()
            self._process.kill()
            self._process.wait()
            self._process = None

    def delete(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder)
