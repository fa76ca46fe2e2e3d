"""The user that a bot runs as: one of its own; for an ordinary user, in a user namespace."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import attrs

INSIDE = 65532
"""The bot's user id in a user namespace; `nonroot` of many images."""
SUBUID, SUBGID = Path("/etc/subuid"), Path("/etc/subgid")
HELPERS = ("newuidmap", "newgidmap")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Mapping = tuple[int, int, int]
"""First id in the container, first id on the machine, how many."""


@attrs.frozen(kw_only=True)
class Ids:
    """Who a bot is.

    Attributes:
        user: Its user id, and group id, in the container.
        outside: That user id on this machine.
        mappings: The user ids of its user namespace; empty for none.
        group_mappings: Its group ids.
    """

    user: int
    outside: int
    mappings: tuple[Mapping, ...] = ()
    group_mappings: tuple[Mapping, ...] = ()

    @property
    def is_root_inside(self) -> bool:
        """Whether the bot is the root of its user namespace, as which it has no capability."""
        return self.user == 0


@attrs.frozen(kw_only=True)
class Users:
    """Where the ids of bots come from.

    Attributes:
        ids: User ids of this machine of which each bot gets one; empty where bots run as the user of botdock.
        groups: Group ids likewise, as many.
        own: The user and the group of botdock where it is an ordinary user; None for root.
    """

    ids: range
    groups: range
    own: tuple[int, int] | None = None

    def pick(self, taken: Collection[int]) -> Ids:
        """Return the ids of another bot.

        Args:
            taken: The user ids on this machine that containers have.

        Raises:
            LookupError: All are taken.
        """
        if not self.ids:
            user, group = self.own or (os.geteuid(), os.getegid())
            return Ids(user=0, outside=user, mappings=((0, user, 1),), group_mappings=((0, group, 1),))
        outside = _pick(self.ids, taken)
        if self.own is None:
            return Ids(user=outside, outside=outside)
        user, group = self.own
        shared = self.groups[self.ids.index(outside) % len(self.groups)]
        return Ids(
            user=INSIDE,
            outside=outside,
            mappings=((0, user, 1), (INSIDE, outside, 1)),
            group_mappings=((0, group, 1), (INSIDE, shared, 1)),
        )


def _pick(users: range, taken: Collection[int]) -> int:
    if len(taken) >= len(users) and all(user in taken for user in users):
        raise LookupError(f"containers have all {len(users)} user ids from {users[0]} to {users[-1]}")
    while (user := secrets.choice(users)) in taken:
        pass
    return user


def find_users(wanted: range) -> Users:
    """Return where ids come from here.

    Args:
        wanted: The user ids that root is to use.
    """
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return Users(ids=wanted, groups=wanted)
    helped = all(shutil.which(name, path=SYSTEM_PATH) for name in HELPERS)
    users, groups = (_subordinate(path, user) if helped else range(0) for path in (SUBUID, SUBGID))
    if not (users and groups):
        users = groups = range(0)
    return Users(ids=users, groups=groups, own=(user, group))


def _subordinate(path: Path, user: int) -> range:
    """Return the first range of ids that a user was given, as `subuid(5)` has it."""
    names = {str(user)}
    with suppress(KeyError):
        names.add(pwd.getpwuid(user).pw_name)
    with suppress(OSError, ValueError):
        for line in path.read_text("utf-8", "replace").splitlines():
            name, _, numbers = line.partition(":")
            if name in names:
                first, count = map(int, numbers.split(":"))
                return range(first, first + count)
    return range(0)
