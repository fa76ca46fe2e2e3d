"""Who uses which tree.

A lease is a symbolic link to the workspace of an execution, and it counts as long as that workspace is there. A
workspace goes after its container, so the lease of an execution whose runner was killed holds for as long as its
container may live, until somebody recovers it; and one that nobody gave back ends by itself.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_SHOWN = 64
"""Characters of an execution's id that the name of a lease repeats, for whoever looks."""


class Leases:
    """The leases of one cache; taken and looked at under the lock of the tree that they are about.

    Args:
        folder: Where they lie: a folder per tree.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, sha256: str, workspace: Path) -> None:
        """Note that a workspace, which is there, uses a tree; nothing happens when that is known.

        Raises:
            OSError: It cannot be noted.
        """
        lease = self._lease(sha256, workspace)
        lease.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            # relative, so that it holds in a container that sees the state folder elsewhere
            lease.symlink_to(os.path.relpath(workspace.resolve(), lease.parent.resolve()))

    def give_back(self, sha256: str, workspace: Path) -> None:
        """Forget that a workspace used a tree, unless it is still there."""
        lease = self._lease(sha256, workspace)
        if not _is_there(lease):
            lease.unlink(missing_ok=True)

    def any_of(self, sha256: str) -> bool:
        """Tell whether anybody uses a tree, and forget who does no longer."""
        with suppress(FileNotFoundError):
            for lease in list((self._folder / sha256).iterdir()):
                if _is_there(lease):
                    return True
                lease.unlink(missing_ok=True)
        return False

    def forget(self, sha256: str) -> None:
        """Remove the folder of a tree that nobody uses."""
        with suppress(FileNotFoundError):
            (self._folder / sha256).rmdir()

    def _lease(self, sha256: str, workspace: Path) -> Path:
        name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:16]
        return self._folder / sha256 / f"{workspace.parent.name[:_SHOWN]}.{name}"


def _is_there(lease: Path) -> bool:
    """Tell whether the workspace of a lease is there; what cannot be looked at is."""
    try:
        lease.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
