"""The files of a container: their names, the format of its log, and small JSON records of what is known.

The names are those of the first version, whose containers may still run when a newer runner looks at them.
"""

# ruff: noqa: PTH105, PTH108, PTH123 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from typing import Any

PLAN = "plan.json"
"""What to run; has the bot's environment in it, so the shim deletes it as soon as it is read."""
SHIM = "supervisor.json"
"""Which process the shim is: `pid` and `identity`. Its existence says that the container was started."""
BOT = "bot.json"
"""Which process the bot is: `pid`, `identity`, `started_at`."""
EXIT = "exit.json"
"""How it ended: `exit_code signal started_at finished_at error output_limited`, and `logged`, the bytes of stdout and
of stderr that the log was given; `relayed`, whether the exit code is what an init of the bot made of its end;
`oom_killed`, null where no cgroup tells. Written last: the log is complete."""
LOG = "log."
"""What the bot wrote, in files of this name and a number, from 0 on; the oldest ones may be gone. Each is a `HEAD` and
frames of `FRAME` and that many bytes, and appears with its head; to one that another follows, nothing is added."""
CONTROL = "control"
"""A FIFO that the shim reads lines from: `BELL`, or `STOP` with the seconds of grace."""
BELLS = "bells"
"""A folder of FIFOs, one for each reader of the log: the shim writes a byte into each when there is news."""

HEAD = struct.Struct("<QQ")
"""How many bytes of stdout and of stderr were logged before."""
FRAME = struct.Struct("<QIB")
"""Nanoseconds since the epoch, length of the data, stream."""
STDOUT = 1
STDERR = 2

BELL = b"bell"
STOP = b"stop"

RUNG = b"!"
"""What is written into a bell."""

_boot_id = ""


def write_record(path: str | os.PathLike[str], record: dict[str, Any], *, once: bool = False) -> bool:
    """Write a record, readable by its owner only, in place of what was there.

    Args:
        path: Where it is.
        record: What it holds.
        once: Whether one that is there already stays.

    Returns:
        Whether it was written.
    """
    new = f"{path}.{os.getpid()}.new"
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(json.dumps(record).encode())
    if not once:
        os.replace(new, path)
        return True
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(new)
    return True


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return a record; None where it is absent, or a crash of the machine left a part of it."""
    try:
        with open(path, "rb", 0) as file:
            record: dict[str, Any] = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return record


def identity_of(pid: int) -> str | None:
    """Return what tells this process from a later one of the same number; None when it is dead or a zombie.

    Its beginning is that of this boot: no process lives to see a second.
    """
    global _boot_id  # noqa: PLW0603 - importing functools for its cache would lengthen the start of every bot
    if not _boot_id:
        with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            _boot_id = file.read().strip()
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in b"ZXx" else f"{_boot_id}:{fields[19].decode()}"
