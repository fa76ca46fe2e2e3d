"""Where the control groups of a container are on this machine."""

from __future__ import annotations

import re
from pathlib import Path

PARENT = "botdock"
"""The group in which all bots of the machine have theirs; it stays."""
_MOUNTS = Path("/proc/self/mountinfo")
_TYPES = {"cgroup", "cgroup2"}


def group_of(container: str) -> str:
    """Return the group of a container, as the runtime is told."""
    return f"/{PARENT}/{container}"


def folders_of(container: str, mounts: str | None = None) -> list[str]:
    """Return where its group appears: one folder on cgroup v2, one in each hierarchy of v1, all of them in a hybrid.

    Args:
        container: Its name.
        mounts: As in /proc/self/mountinfo (proc_pid_mountinfo(5)); None to read that.
    """
    found: dict[str, None] = {}
    for line in (mounts if mounts is not None else _MOUNTS.read_text(encoding="utf-8")).splitlines():
        place, _, rest = line.partition(" - ")
        if rest.split()[0] in _TYPES:
            found[_unescaped(place.split()[4])] = None
    return [mount + group_of(container) for mount in found]


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
