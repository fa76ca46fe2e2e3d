"""What of the strict profile is the same on each engine: who a bot is in its container, and the kernel's bounds."""

from __future__ import annotations

HOSTNAME = "botdock"
USER_NAME = "bot"
"""What the bot's user and group are called, whatever their id is."""
HOME = "/tmp"  # noqa: S108 - the bot's own, in its container
USUAL_ENVIRONMENT = {"HOME": HOME, "TMPDIR": HOME, "USER": USER_NAME, "LOGNAME": USER_NAME, "LANG": "C.UTF-8"}
"""What a bot finds in its environment, where its template does not say otherwise."""
IDENTITY_FILES = ("passwd", "group")
"""Of /etc: they name the bot's user, see `identity_files`."""

SHARED_MEMORY = 64 * 1024 * 1024
"""Bytes of /dev/shm at most; Docker's own default."""
SIGNALS = 1024
"""Timers and signals that wait, per bot: the kernel keeps each in memory of its own."""
QUEUE_BYTES = 819_200
"""Bytes of POSIX message queues per bot; Linux' own default."""
LOCKED_BYTES = 64 * 1024
"""Bytes per bot that may be locked into memory; Linux' own default for long."""
PERIOD = 100_000
"""Microseconds over which the processor's time is counted; Linux' own default."""
_BYTES_PER_INODE = 4096
"""A tmpfs may hold one file per so many bytes: its files cost kernel memory, however small they are."""
_FEWEST_INODES = 1024

_OTHERS = (("root", "root", 0, "/root:/bin/sh"), ("nobody", "nogroup", 65534, "/:/bin/false"))
"""The users that each image has, their groups and ids, and what follows."""


def inodes_of(size: int) -> int:
    """Return how many files a tmpfs of so many bytes may hold."""
    return max(_FEWEST_INODES, size // _BYTES_PER_INODE)


def identity_files(user: int) -> dict[str, str]:
    """Return the passwd and the group that a bot sees, in which its user, and the group of the same id, have a name.

    They take the place of the image's, of which root and nobody are all that each has: to read one of its files costs a
    container.
    """
    users = [*(one for one in _OTHERS if one[2] != user), (USER_NAME, USER_NAME, user, f"{HOME}:/bin/sh")]
    passwd = "".join(f"{name}:x:{number}:{number}::{rest}\n" for name, _, number, rest in users)
    return {"passwd": passwd, "group": "".join(f"{group}:x:{number}:\n" for _, group, number, _ in users)}
