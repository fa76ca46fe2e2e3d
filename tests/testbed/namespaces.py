"""Namespaces of Linux for a group of processes: what runs in them is seen by this machine, and ends with them at once.

They have mounts, a network and process ids of their own. So two groups never meet, and of one that is ended neither a
process nor a mount, a device or an address is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from testbed.console import TestbedError, run
from testbed.packages import ensure_programs, find_program
from testbed.processes import end_process, lives, read_or_empty
from testbed.waiting import wait_until

_NETWORKS = 256
_TIMEOUT = 60.0

_FIRST = """
# Kept for the group alone: where programs have folders that cannot be chosen.
mkdir -p /var/lib/kubelet /var/lib/cni
for place in /run /var/log /var/lib/kubelet /var/lib/cni; do mount -t tmpfs -o mode=755 tmpfs $place || exit 1; done
mkdir /run/lock
trap '' CHLD  # inherited by sleep: the kernel then buries the group's orphans itself
: > "$1" && exec sleep infinity
"""


class Namespaces:
    """The namespaces of one group, which another process of the session may find by their folder.

    Args:
        folder: It keeps who holds them; an absolute path that no other group has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holder_file = folder / "holder"

    @property
    def holder(self) -> int | None:
        """The pid of the process that holds them; None where there are none."""
        text = read_or_empty(self._holder_file)
        pid = int(text.split()[0]) if text else 0
        return pid if pid and str(self._ready).encode() in read_or_empty(Path(f"/proc/{pid}/cmdline")) else None

    @property
    def is_known(self) -> bool:
        """Whether they were made and not ended, be their holder alive or not."""
        return self._holder_file.exists()

    @property
    def number(self) -> int:
        """What tells this group's network from others of this machine."""
        return int(read_or_empty(self._holder_file).split()[1])

    @property
    def address(self) -> str:
        """The group's own, for this machine: in the range that is kept for the tests of networks (RFC 2544)."""
        return f"198.18.{self.number}.2"

    @property
    def device(self) -> str:
        """This machine's end of the way to the group."""
        return f"botdock{self.number}"

    @property
    def _ready(self) -> Path:
        return self._folder / "namespaces-ready"

    def make(self) -> None:
        """Make them, with a network that reaches this machine and nothing else.

        Raises:
            TestbedError: They cannot be made here.
        """
        ensure_programs("ip")
        self._ready.unlink(missing_ok=True)
        kinds = ("--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
        process = subprocess.Popen(
            [find_program("unshare") or "unshare", *kinds, "sh", "-c", _FIRST, "sh", str(self._ready)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the tests and not the group, which they end
        )
        process_ended = wait_until(lambda: self._ready.exists() or process.poll() is not None, timeout=_TIMEOUT)
        if not process_ended or process.poll() is not None:
            process.kill()
            process.wait()
            raise TestbedError("this machine lets us make no namespaces of mounts, networks and processes")
        process.returncode = 0  # it outlives this object on purpose: another worker may end it, by its pid
        self._holder_file.write_text(f"{process.pid} {self._connect(process.pid)}")
        outside = [["ip", "address", "add", f"198.18.{self.number}.1/30", "dev", self.device]]
        inside = [["ip", "link", "set", "lo", "up"], ["ip", "address", "add", f"{self.address}/30", "dev", "eth0"]]
        outside.append(["ip", "link", "set", self.device, "up"])
        inside.append(["ip", "link", "set", "eth0", "up"])
        for command in (*outside, *map(self.within, inside)):
            run(command, timeout=_TIMEOUT)

    def _connect(self, holder: int) -> int:
        """Join the group's network to ours by a device whose number is free; the kernel gives it to one group alone."""
        problem = TestbedError("no network is free")
        for number in range(_NETWORKS):
            pair = ["type", "veth", "peer", "name", "eth0", "netns", str(holder)]
            if Path(f"/sys/class/net/botdock{number}").exists():
                continue
            try:
                run(["ip", "link", "add", "name", f"botdock{number}", *pair], timeout=_TIMEOUT)
            except TestbedError as error:
                problem = error
            else:
                return number
        end_process(holder, signal.SIGKILL)
        raise problem

    def within(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one in the group."""
        spaces = f"/proc/{self.holder}/ns"
        where = (f"--mount={spaces}/mnt", f"--net={spaces}/net", f"--pid={spaces}/pid_for_children")
        return [find_program("nsenter") or "nsenter", *where, "--", *command]

    def find(self, command: Sequence[str]) -> int | None:
        """Return the pid of the process that runs just this command; None where none does."""
        wanted = b"".join(f"{word}\0".encode() for word in command)
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            if read_or_empty(entry) == wanted and lives(int(entry.parent.name)):
                return int(entry.parent.name)
        return None

    def end(self) -> None:
        """End all that runs in them, at once, and wait until it has ended."""
        holder = self.holder
        if holder is not None:
            children = read_or_empty(Path(f"/proc/{holder}/task/{holder}/children")).split()
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGKILL)  # and the kernel kills its child, and with this the whole group
            for pid in map(int, children):
                end_process(pid, None)
            end_process(holder, None)
        self._holder_file.unlink(missing_ok=True)
        self._ready.unlink(missing_ok=True)
