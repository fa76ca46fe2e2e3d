"""Where the control groups of a container are on this machine."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

PARENT = "botdock"
"""The group in which all bots of the machine have theirs, or all of a user's; it stays."""
ROOT = Path("/sys/fs/cgroup")
"""Where systemd, and each machine with cgroup v2 alone, has it."""
_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_TYPES = {"cgroup", "cgroup2"}


def group_of(container: str, own: str | None = None) -> str:
    """Return the group of a container, as the runtime is told; empty where an ordinary user has none to give.

    Args:
        container: Its name.
        own: As in /proc/self/cgroup (cgroups(7)); None to read that.
    """
    parent = "/" if os.geteuid() == 0 else delegated(own)
    return str(PurePosixPath(parent, PARENT, container)) if parent else ""


def delegated(own: str | None = None) -> str:
    """Return the group of cgroup v2 that an ordinary user was given, below which this process is; empty for none.

    systemd gives each user one, `user@.service`. It is the highest of which the user may use the controllers, and from
    which the user may move processes.
    """
    if own is None:
        return _delegated()
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::/")), "/")
    groups = [
        str(group) for group in reversed((PurePosixPath(path), *PurePosixPath(path).parents)) if str(group) != "/"
    ]
    return next((group for group in groups if _is_ours(ROOT / group.lstrip("/"))), "")


@cache
def _delegated() -> str:
    with suppress(OSError):
        return delegated(_OWN.read_text(encoding="utf-8"))
    return ""


def _is_ours(folder: Path) -> bool:
    needed = (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control")
    return all(os.access(path, os.W_OK) for path in needed)


def folders_of(container: str, mounts: str | None = None) -> list[str]:
    """Return where its group appears: one folder on cgroup v2, one in each hierarchy of v1, all of them in a hybrid.

    Args:
        container: Its name.
        mounts: As in /proc/self/mountinfo (proc_pid_mountinfo(5)); None to read that.
    """
    if not (group := group_of(container)):
        return []
    found: dict[str, None] = {}
    for line in (mounts if mounts is not None else _MOUNTS.read_text(encoding="utf-8")).splitlines():
        place, _, rest = line.partition(" - ")
        if rest.split()[0] in _TYPES:
            found[_unescaped(place.split()[4])] = None
    return [mount + group for mount in found]


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
