"""The user that a bot runs as: one of its own; for an ordinary user, in a user namespace."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from botdock_engine_oci.runtimes import SYSTEM_PATH

INSIDE = 65532
"""The bot's user id in a user namespace; `nonroot` of many images."""
SUBUID, SUBGID = Path("/etc/subuid"), Path("/etc/subgid")
HELPERS = ("newuidmap", "newgidmap")

SHARED = Path("/run/botdock/users")
"""Where root's user ids are reserved, whatever the state folder; gone with a boot, as all containers are."""
STALE_SECONDS = 3600.0
"""After this, a container that is not there will not be made any more."""
TRIES = 64

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

    def pick(self, take: Callable[[int], bool] = lambda _user: True) -> Ids:
        """Return the ids of another bot.

        Args:
            take: Reserves a user id of this machine; returns whether it was free.

        Raises:
            LookupError: None was free.
        """
        if not self.ids:
            user, group = self.own or (os.geteuid(), os.getegid())
            return Ids(user=0, outside=user, mappings=((0, user, 1),), group_mappings=((0, group, 1),))
        outside = next(filter(take, _in_any_order(self.ids)), None)
        if outside is None:
            raise LookupError(f"containers have all {len(self.ids)} user ids from {self.ids[0]} to {self.ids[-1]}")
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


def _in_any_order(users: range) -> Iterator[int]:
    """Yield some at random, of which one is free as a rule; then all."""
    yield from (secrets.choice(users) for _ in range(TRIES))
    yield from users


@attrs.frozen(kw_only=True)
class Reservations:
    """Which user ids of this machine bots have: of each, a link to the folder of its container.

    Attributes:
        folder: Where the links lie.
    """

    folder: Path

    @classmethod
    def of(cls, state: Path) -> Reservations:
        """Return those that concern the containers of a state folder: root's are the machine's."""
        return cls(folder=SHARED if os.geteuid() == 0 else state / "users")

    def take(self, user: int, container: Path) -> bool:
        """Reserve an id for a container; return whether it was free."""
        link = self.folder / str(user)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.symlink_to(container)
        except FileExistsError:
            with suppress(OSError):
                if not link.exists() and link.lstat().st_mtime < time.time() - STALE_SECONDS:
                    link.unlink()  # its container was removed by one who did not know of this; a later pick finds it
            return False
        return True

    def give_back(self, user: int, container: Path) -> None:
        """Let go of an id, if a container has it."""
        link = self.folder / str(user)
        with suppress(OSError):
            if link.readlink() == container:
                link.unlink()


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
