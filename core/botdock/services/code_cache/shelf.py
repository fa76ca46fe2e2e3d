"""Where the parts of a cache lie, and what every part of it does with them."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from botdock._ownership import make_private, part_fault
from botdock.archive import remove_tree
from botdock.errors import StorageError
from botdock.services.code_cache.drafts import REMOVAL_TIMEOUT
from botdock.services.code_cache.index import Index
from botdock.services.code_cache.leases import Leases
from botdock.services.code_cache.seal import Seal, survey

_OURS = 0o700
_READ_ONLY = 0o555
_PARTS = ("code", "drafts", "aside", "leases", "keys", "locks")
_HINTS = {
    errno.ENOSPC: "Free some space, lower code.cache_bytes, or choose another place with BOTDOCK_HOME.",
    errno.EDQUOT: "Free some space, lower code.cache_bytes, or choose another place with BOTDOCK_HOME.",
    errno.ETIMEDOUT: "Another run has been fetching the same code for too long; end it, or try again later.",
    errno.ENOLCK: "Its file system has no locks: choose another with BOTDOCK_HOME, or set code.cache_bytes to 0.",
    errno.EOPNOTSUPP: "Its file system has no locks: choose another with BOTDOCK_HOME, or set code.cache_bytes to 0.",
}
_HINT = "Let this user write there, choose another place with BOTDOCK_HOME, or set code.cache_bytes to 0."


@attrs.frozen(kw_only=True)
class Shelf:
    """The folder of a cache.

    Attributes:
        root: The folder.
        limits: The limits under which code is unpacked now.
        step: Told of each step, so that a test can stop there.
    """

    root: Path
    limits: Mapping[str, int]
    step: Callable[[str], None]

    @property
    def leases(self) -> Leases:
        """Who uses which tree."""
        return Leases(self.root / "leases")

    @property
    def index(self) -> Index:
        """Which bytes an object had."""
        return Index(self.root / "keys")

    @property
    def drafts(self) -> Path:
        """Where trees are made."""
        return self.root / "drafts"

    def tree(self, sha256: str) -> Path:
        """Return where a tree lies, if it is there."""
        return self.root / "code" / sha256

    def seal(self, sha256: str) -> Path:
        """Return where its seal lies."""
        return self.root / "code" / f"{sha256}.json"

    def lock(self, name: str) -> Path:
        """Return the lock file of a tree, by its digest, or of an object, by that of its identity."""
        return self.root / "locks" / name

    def make(self) -> None:
        """Make the folders; nobody else may look into them, so that what lies in them may be readable to bots."""
        make_private(self.root)
        for part in _PARTS:
            (self.root / part).mkdir(exist_ok=True, mode=_OURS)

    def problem(self, sha256: str) -> str:
        """Say what is wrong with a tree that is there; empty when it is what it was. Looks, and reads no content."""
        for path in (self.tree(sha256), self.seal(sha256)):
            if fault := part_fault(path):
                return str(fault)
        seal = Seal.read(self.seal(sha256))
        if seal is None:
            return "its seal is missing or damaged"
        if not seal.allows(self.limits):
            return "it was unpacked under wider limits"
        try:
            found = survey(self.tree(sha256))
        except OSError as error:
            return f"it cannot be read: {error.strerror or error}"
        return "" if found.stamp == seal.stamp else "it is not what it was"

    def put_on(self, sha256: str, tree: Path) -> None:
        """Make a tree visible; a folder that changes its parent must be writable, so it becomes read-only there."""
        tree.rename(self.tree(sha256))
        self.step("published")
        self.tree(sha256).chmod(_READ_ONLY)

    def take_off(self, sha256: str) -> None:
        """Make a tree invisible, under its lock; containers that have it mounted keep it as long as it is leased."""
        aside = self.root / "aside" / f"{sha256}.{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            tree = self.tree(sha256)
            if stat.S_ISDIR(tree.lstat().st_mode):
                tree.chmod(_OURS)
            tree.rename(aside)
            self.step("set aside")
            if self.leases.any_of(sha256):
                aside.chmod(_READ_ONLY)  # who uses it still may
        self.seal(sha256).unlink(missing_ok=True)
        self.step("unsealed")

    def clear_aside(self) -> bool:
        """Remove the trees that were taken off and that nobody uses any more; tell whether none is left."""
        aside = self.root / "aside"
        for path in list(aside.iterdir()):
            if not self.leases.any_of(path.name.partition(".")[0]):
                with suppress(OSError):  # cleared later
                    _remove(path)
                self.step("cleared")
        return not any(aside.iterdir())


def _remove(path: Path) -> None:
    """Remove what may not even be a folder, whatever damaged it."""
    if stat.S_ISDIR(path.lstat().st_mode):
        remove_tree(path, timeout=REMOVAL_TIMEOUT)
    else:
        path.unlink()


@contextmanager
def failures(root: Path) -> Iterator[None]:
    """Turn what the disk says into a `StorageError` that names the cache and how to mend it."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the code cache {root} cannot be used: {error.strerror or error}",
            backend=os.fspath(root),
            hint=_HINTS.get(error.errno or 0, _HINT),
        ) from error
