"""What a runtime that was killed may have left mounted in the folder of a container."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_DETACH = 2
"""`MNT_DETACH`: at once, whatever still uses it."""


def unmount_below(folder: Path) -> None:
    """Unmount what is mounted in a folder, the last mounted first.

    Raises:
        OSError: We may not.
    """
    beginning = os.fsencode(folder.resolve()) + b"/"
    for line in reversed(_MOUNTS.read_bytes().splitlines()):
        path = _unescaped(line.split()[4])  # proc_pid_mountinfo(5)
        if path.startswith(beginning) and ctypes.CDLL(None, use_errno=True).umount2(path, _DETACH):
            raise OSError(ctypes.get_errno(), f"cannot unmount {os.fsdecode(path)}")


def _unescaped(path: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)
