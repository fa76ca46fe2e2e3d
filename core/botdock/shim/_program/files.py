"""The files of a container: their names, the format of its log, and small JSON records of what is known.

The names are those of the first version, whose containers may still run when a newer runner looks at them.
"""

# ruff: noqa: PTH105, PTH108, PTH110, PTH123 - importing pathlib would lengthen the start of every bot

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
"""How it ended: `exit_code signal started_at finished_at max_rss_kib error output_limited`, and `logged`, the bytes of
stdout and of stderr that the log was given; `relayed`, whether the exit code is what an init of the bot made of its
end; where there are cgroups, `oom_killed memory_peak cpu_seconds`. Written last: the log is complete."""
LOG = "log."
"""What the bot wrote, in files of this name and a number; the oldest ones may be gone. Each is a `HEAD` and frames of
`FRAME` and that many bytes, and appears with its head; to one that is followed by another nothing is added."""
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

CONNECTED = b"C"
"""The first byte that the shim writes into a bell."""
RUNG = b"!"

_boot_id = ""
NO_PROC = "unverified"
"""The identity of a process on a system without /proc."""


def log_name(number: int) -> str:
    """Return the name of a file of the log."""
    return f"{LOG}{number}"


def write_record(path: str, record: dict[str, Any]) -> None:
    """Write a record, readable by its owner only, in place of what was there."""
    os.replace(_write_new(path, record), path)


def claim_record(path: str, record: dict[str, Any]) -> bool:
    """Write a record unless there is one already; return whether it was written."""
    new = _write_new(path, record)
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(new)
    return True


def read_record(path: str) -> dict[str, Any] | None:
    """Return a record; None where it is absent, or a crash of the machine left a part of it."""
    try:
        with open(path, "rb", 0) as file:
            record: dict[str, Any] = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return record


def _write_new(path: str, record: dict[str, Any]) -> str:
    new = f"{path}.{os.getpid()}.new"
    with open(new, "wb", 0, opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        rest = memoryview(json.dumps(record).encode())
        while rest:
            rest = rest[file.write(rest) :]
    return new


def identity_of(pid: int) -> str | None:
    """Return what tells this process from a later one of the same number; None when it is dead or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        if not os.path.exists("/proc/self/stat"):
            with suppress(OSError):
                os.kill(pid, 0)
                return NO_PROC
        return None
    return None if fields[0] in b"ZXx" else f"{_boot()}:{fields[19].decode()}"


def _boot() -> str:
    """Return what tells this boot from another one; no process lives to see a second."""
    global _boot_id  # noqa: PLW0603 - importing functools for its cache would lengthen the start of every bot
    if not _boot_id:
        with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            _boot_id = file.read().strip()
    return _boot_id


def make_log_file(number: int, stdout: int = 0, stderr: int = 0, *, folder: str = ".") -> None:
    """Make a file of the log, which appears with its head.

    Args:
        number: Of the file.
        stdout: Bytes of stdout in those before it.
        stderr: Bytes of stderr in those before it.
        folder: Of the container.

    Raises:
        OSError: The disk is full, or the like; the file is then absent.
    """
    path = f"{folder}/{log_name(number)}"
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, HEAD.pack(stdout, stderr))
    finally:
        os.close(descriptor)
    os.replace(new, path)
