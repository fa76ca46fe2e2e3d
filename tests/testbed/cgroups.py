"""Control groups as dockerd needs them, where this machine is itself a container."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from testbed.console import run, say

ROOT = Path("/sys/fs/cgroup")


def prepare_cgroups(root: Path = ROOT) -> None:
    """Mount cgroups where that was not done, and free the root group of a container's cgroup v2 for delegation."""
    if not any(root.iterdir()):
        say(f"mounting cgroup2 on {root}")
        run(["mount", "-t", "cgroup2", "none", str(root)], timeout=10)
    if (root / "cgroup.type").exists():  # only a group below the machine's true root has it
        _delegate(root)


def _delegate(root: Path) -> None:
    """Move the processes of `root` below it: a v2 group has processes of its own or controllers for others."""
    below = root / "testbed"
    below.mkdir(exist_ok=True)
    for pid in (root / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it ended meanwhile, or belongs to the kernel
            (below / "cgroup.procs").write_text(pid)
    for controller in (root / "cgroup.controllers").read_text().split():
        with suppress(OSError):  # one that cannot be delegated is one that limits are not enforced with
            (root / "cgroup.subtree_control").write_text(f"+{controller}")
