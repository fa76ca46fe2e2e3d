"""The settings of this engine."""

from __future__ import annotations

import re

import attrs

from botdock.config import Section, setting
from botdock.config.rules import Rule

RUNTIMES = ("crun", "runc")
"""What is looked for, in this order: the first is the quicker."""
HOST = "host"
"""The root file system of this machine's own programs."""
IMAGE = "image"
"""The root file system of the image of each bot's runtime."""
_RANGE = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
_LOWEST_USER, _HIGHEST_USER = 1000, 2**31 - 1
"""Below are the system's own users."""
_OVERFLOW_USER = 65534
"""Linux' `nobody`: files of users that are not mapped belong to it."""


def _runtime_problem(name: str) -> str | None:
    if not name or name in RUNTIMES or name.startswith("/"):
        return None
    return f"{name!r} must be {' or '.join(RUNTIMES)}, the path of one of them, or empty for the first that works"


def _rootfs_problem(name: str) -> str | None:
    if name in {HOST, IMAGE} or (name.startswith("/") and name.strip("/")):
        return None
    return f"{name!r} must be {HOST!r}, {IMAGE!r}, or the path of a folder that holds a root file system"


def _users_problem(text: str) -> str | None:
    if not (match := _RANGE.fullmatch(text)):
        return f"{text!r} must be 'first:count' of user ids, such as 2100000:65536"
    first, count = map(int, match.groups())
    users = range(first, first + count)
    if not users or users[0] < _LOWEST_USER or users[-1] > _HIGHEST_USER or _OVERFLOW_USER in users:
        bounds = f"{_LOWEST_USER} to {_HIGHEST_USER} without {_OVERFLOW_USER}"
        return f"{text!r} must be at least one user id, of {bounds}"
    return None


@attrs.frozen(kw_only=True)
class OciSettings(Section):
    """The settings of this engine: `[options.oci]`.

    Attributes:
        runtime: `crun`, `runc`, or the path of one of them; empty means the first of them that works here.
        rootfs: What bots see as the root file system: `host` for this machine's own programs, `image` for the image of
            their runtime, which `skopeo` fetches and `umoci` unpacks, or a folder that holds another one, such as what
            `debootstrap` makes. All are read-only.
        users: `first:count` of the user ids that root's bots run as, each with one of its own; nothing else on this
            machine should use them.
    """

    runtime: str = setting("", rule=Rule(_runtime_problem))
    rootfs: str = setting(HOST, rule=Rule(_rootfs_problem))
    users: str = setting("2100000:65536", rule=Rule(_users_problem))

    @property
    def has_images(self) -> bool:
        """Whether bots run on images."""
        return self.rootfs == IMAGE

    @property
    def tried_rootfs(self) -> str:
        """The root file system that a container is tried with: what is enforced does not depend on an image."""
        return HOST if self.has_images else self.rootfs

    @property
    def user_range(self) -> range:
        """The user ids of `users`."""
        first, count = map(int, self.users.split(":"))
        return range(first, first + count)
