"""The settings of this engine."""

from __future__ import annotations

import attrs

from botdock.config import Section, rules, setting
from botdock.config.rules import Rule

RUNTIMES = ("crun", "runc")
"""What is looked for, in this order: the first is the quicker."""
HOST = "host"
"""The root file system of this machine's own programs."""
IMAGE = "image"
"""The root file system of the image of each bot's runtime."""


def _runtime_problem(name: str) -> str | None:
    if not name or name in RUNTIMES or name.startswith("/"):
        return None
    return f"{name!r} must be {' or '.join(RUNTIMES)}, the path of one of them, or empty for the first that works"


def _rootfs_problem(name: str) -> str | None:
    if name in {HOST, IMAGE} or (name.startswith("/") and name.strip("/")):
        return None
    return f"{name!r} must be {HOST!r}, {IMAGE!r}, or the path of a folder that holds a root file system"


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
    users: str = setting("2100000:65536", rule=rules.USERS)

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
        return rules.user_range(self.users)
