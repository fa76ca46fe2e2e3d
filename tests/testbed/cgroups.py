"""Control groups as dockerd needs them, where this machine is itself a container."""

from __future__ import annotations

import os
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


def make_group(name: str, root: Path = ROOT) -> None:
    """Make a group for what has containers of its own, in every hierarchy, with the controllers that there are."""
    for hierarchy in _hierarchies(root):
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if (group / "cgroup.controllers").is_file():
            for controller in (group / "cgroup.controllers").read_text().split():
                (group / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_group(name: str, root: Path = ROOT) -> bool:
    """Remove a group with all below it, whose processes have ended; return whether it is gone."""
    groups = [hierarchy / name for hierarchy in _hierarchies(root)]
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):  # a process of it is about to be buried
                Path(folder).rmdir()
    return not any(group.is_dir() for group in groups)


def _hierarchies(root: Path) -> list[Path]:
    """Return where cgroups are mounted: one place for version 2, several for version 1."""
    return [path.parent for path in (root / "cgroup.procs", *root.glob("*/cgroup.procs")) if _is_mounted(path, root)]


def _is_mounted(path: Path, root: Path) -> bool:
    return path.is_file() and (path.parent == root or not (root / "cgroup.procs").exists())
