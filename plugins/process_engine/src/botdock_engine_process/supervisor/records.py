"""Small JSON files that are whole or absent, and the identities of processes."""

# ruff: noqa: PTH105, PTH108, PTH110, PTH123 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import json
import os
from contextlib import suppress

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from typing import Any

NO_PROC = "unverified"
"""The identity of a process on a system without /proc."""


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
    """Return a record, or None where there is none, or none that a crash of the machine left whole."""
    try:
        with open(path, "rb") as file:
            record: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return record


def _write_new(path: str, record: dict[str, Any]) -> str:
    new = f"{path}.{os.getpid()}.new"
    with open(new, "w", encoding="utf-8", opener=_private) as file:
        json.dump(record, file)
    return new


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def identity_of(pid: int) -> str | None:
    """Return what tells this process from a later one of the same number; None when it is dead or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return _identity_without_proc(pid)
    dead, start_time = fields[0] in b"ZXx", fields[19].decode()
    return None if dead else f"{_boot_id()}:{start_time}"


def _identity_without_proc(pid: int) -> str | None:
    if os.path.exists("/proc/self/stat"):
        return None
    with suppress(OSError):
        os.kill(pid, 0)
        return NO_PROC
    return None


def _boot_id() -> str:
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""
