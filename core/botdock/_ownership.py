"""Tells whether other users of the machine could change or replace a path: what they can write is not ours to believe.

The rule is that of OpenSSH's StrictModes: the path, each folder that leads to it, and each link on the way belong to
the user that runs botdock or to root, and no other user may write them. A folder on the way may be a sticky one that
all may write, such as `/tmp`. A group that a user has alone (of the user's own name, without other members, and
without an access list beside it) counts as the user, for that is what a umask of 002 is made for.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import attrs

_MOST_LINKS = 40
"""Links that Linux follows in one path."""


@attrs.frozen
class PathFault:
    """Why a path is not to be believed.

    Attributes:
        path: What is wrong; the path that was asked for, or something that leads to it.
        text: What is wrong with it.
        remedy: The command that mends it.
    """

    path: Path
    text: str
    remedy: str

    def __str__(self) -> str:
        """Return path and fault."""
        return f"{self.path} {self.text}"


def fault_of(path: Path, *, of_root: bool = False) -> PathFault | None:
    """Return what lets other users change or replace what stands at an absolute path; what is absent has no fault.

    Args:
        path: The path.
        of_root: Whether it is to be root's alone, so that the user that runs botdock is one of the others.
    """
    us = 0 if of_root else os.geteuid()
    try:
        found = list(_steps(path))
    except OSError as error:
        place = Path(error.filename or path)
        return PathFault(place, f"cannot be looked at: {error.strerror}", "choose a path of folders that you may enter")
    faults = (_fault(step, look, us, last=at == len(found)) for at, (step, look) in enumerate(found, start=1) if look)
    return next((fault for fault in faults if fault), None)


def part_fault(path: Path) -> PathFault | None:
    """Return the fault of a part of a folder that is without fault: it is a link, or other users could write it."""
    with suppress(FileNotFoundError, NotADirectoryError):
        look = path.lstat()
        if stat.S_ISLNK(look.st_mode):
            return PathFault(path, "is a link, which is not followed", f"rm {shlex.quote(os.fspath(path))}")
        return _fault(path, look, os.geteuid(), last=True)
    return None


def is_ours(look: os.stat_result) -> bool:
    """Tell whether what was looked at belongs to the user that runs botdock, or to root."""
    return look.st_uid in {os.geteuid(), 0}


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Yield all that the kernel meets on the way to a path, what links lead to included; None for what is absent."""
    here, pending, links = Path("/"), list(reversed(path.parts[1:])), 0
    yield here, here.lstat()
    while pending:
        name = pending.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        try:
            look = step.lstat()
        except (FileNotFoundError, NotADirectoryError):
            yield step, None
            return
        yield step, look
        if not stat.S_ISLNK(look.st_mode):
            here = step
        elif (links := links + 1) <= _MOST_LINKS:
            target = Path(os.readlink(step))  # noqa: PTH115 - as the kernel reads it
            here = Path("/") if target.is_absolute() else here
            pending += reversed(target.parts[target.is_absolute() :])


def _fault(path: Path, look: os.stat_result, us: int, *, last: bool) -> PathFault | None:
    name = shlex.quote(os.fspath(path))
    if look.st_uid not in {us, 0}:
        remedy = f"chown -h {_user(us)} {name}" if last else f"choose a path that leads through folders of {_user(us)}"
        return PathFault(path, f"belongs to {_user(look.st_uid)}, not to {_user(us)}", remedy)
    if stat.S_ISLNK(look.st_mode) or (look.st_mode & stat.S_ISVTX and not last):
        return None
    if look.st_mode & stat.S_IWOTH:
        return PathFault(path, "can be written by every user", f"chmod go-w {name}")
    if look.st_mode & stat.S_IWGRP and not (_is_private(look.st_gid, look.st_uid) and not _has_access_list(path)):
        return PathFault(path, f"can be written by its group ({look.st_gid})", f"chmod go-w {name}")
    return None


@cache
def _is_private(gid: int, uid: int) -> bool:
    """Tell whether a group is the one that a user has alone."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}


def _has_access_list(path: Path) -> bool:
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except (OSError, AttributeError):  # a file system, or a system, that has none
        return False


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
