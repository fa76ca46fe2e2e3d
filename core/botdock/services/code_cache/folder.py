"""The folder of a cache: where its parts lie, which runs use which tree, and where the next tree is made.

A run pins the tree that it uses by a symbolic link to its workspace, which counts as long as that workspace is there.
A workspace goes after its container, so the pin of an execution whose runner was killed holds for as long as its
container may live, until another runner recovers it; and one that was never given back ends by itself.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import attrs

from botdock._locks import lock_folder
from botdock._ownership import part_fault
from botdock._whole_files import make_private
from botdock.archive import remove_tree
from botdock.errors import StorageError
from botdock.model import ObjectInfo
from botdock.services.code_cache.records import Identity, Index, TreeRecord, survey

_OURS = 0o700
_READ_ONLY = 0o555
_PARTS = ("code", "drafts", "aside", "leases", "keys", "locks")
_REMOVAL = 60.0
"""Seconds; what takes longer to remove stays for the next one who sweeps."""
_SHOWN = 64
"""Characters of an execution's id that the name of a pin repeats, for people who look."""
_HINTS = {
    errno.ENOSPC: "Free some space, lower code.cache_bytes, or choose another place with BOTDOCK_HOME.",
    errno.EDQUOT: "Free some space, lower code.cache_bytes, or choose another place with BOTDOCK_HOME.",
    errno.ETIMEDOUT: "Another run has been fetching the same code for too long; end it, or try again later.",
    errno.ENOLCK: "Its file system has no locks: choose another with BOTDOCK_HOME, or set code.cache_bytes to 0.",
    errno.EOPNOTSUPP: "Its file system has no locks: choose another with BOTDOCK_HOME, or set code.cache_bytes to 0.",
}
_HINT = "Let this user write there, choose another place with BOTDOCK_HOME, or set code.cache_bytes to 0."


@attrs.define(kw_only=True)
class Staging:
    """A folder in which one tree is made that no other run sees yet; it goes at the end, or after its process died.

    Attributes:
        folder: The folder.
        known: The object that its archive came from, and what that is; None when it may have changed meanwhile.
        held: What is let go of when the tree is published, or given up: the locks, and the folder itself.
    """

    folder: Path
    known: tuple[Identity, ObjectInfo] | None = None
    held: ExitStack = attrs.field(factory=ExitStack, eq=False, repr=False)

    @property
    def archive(self) -> Path:
        """Where the bytes are spooled to."""
        return self.folder / "archive"

    @property
    def tree(self) -> Path:
        """Where they are unpacked."""
        return self.folder / "tree"

    @property
    def text(self) -> Path:
        """The name that a small file has until it takes its place."""
        return self.folder / "text"


@attrs.frozen(kw_only=True)
class CacheFolder:
    """The folder of a cache.

    Attributes:
        root: The folder.
        limits: The limits under which code is unpacked now.
    """

    root: Path
    limits: Mapping[str, int]

    @property
    def index(self) -> Index:
        """Which bytes an object had."""
        return Index(self.root / "keys")

    def tree(self, sha256: str) -> Path:
        """Return where a tree lies, if it is there."""
        return self.root / "code" / sha256

    def record(self, sha256: str) -> Path:
        """Return where its record lies."""
        return self.root / "code" / f"{sha256}.json"

    def lock(self, name: str) -> Path:
        """Return the lock file of a tree, by its digest, or of an object, by that of its identity."""
        return self.root / "locks" / name

    def make(self) -> None:
        """Make the folders; no other user may look into them, so that what lies in them may be readable to bots."""
        make_private(self.root)
        for part in _PARTS:
            (self.root / part).mkdir(exist_ok=True, mode=_OURS)

    def problem(self, sha256: str) -> str:
        """Say what is wrong with a tree that is there; empty when it is what it was. Looks, and reads no content."""
        for path in (self.tree(sha256), self.record(sha256)):
            if fault := part_fault(path):
                return str(fault)
        record = TreeRecord.read(self.record(sha256))
        if record is None:
            return "its record is missing or damaged"
        if not record.allows(self.limits):
            return "it was unpacked under wider limits"
        try:
            found = survey(self.tree(sha256))
        except OSError as error:
            return f"it cannot be read: {error.strerror or error}"
        return "" if found.stamp == record.stamp else "it is not what it was"

    def show(self, sha256: str, tree: Path) -> None:
        """Make a tree visible; a folder that changes its parent must be writable, so it becomes read-only there."""
        tree.rename(self.tree(sha256))
        self.tree(sha256).chmod(_READ_ONLY)

    def evict(self, sha256: str) -> None:
        """Make a tree invisible, under its lock; containers that have it mounted keep it as long as it is pinned."""
        aside = self.root / "aside" / f"{sha256}.{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            tree = self.tree(sha256)
            if stat.S_ISDIR(tree.lstat().st_mode):
                tree.chmod(_OURS)
            tree.rename(aside)
            if self.pinned(sha256):
                aside.chmod(_READ_ONLY)  # the runs that use it still may
        self.record(sha256).unlink(missing_ok=True)

    def clear_aside(self) -> bool:
        """Remove the evicted trees that no run uses any more; tell whether none is left."""
        aside = self.root / "aside"
        for path in list(aside.iterdir()):
            if not self.pinned(path.name.partition(".")[0]):
                with suppress(OSError):  # cleared later
                    _remove(path)
        return not any(aside.iterdir())

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Make a folder for one tree, locked while it is used, and removed at the end."""
        while True:
            folder = self.root / "drafts" / secrets.token_hex(8)
            folder.mkdir(mode=_OURS)
            if (descriptor := lock_folder(folder)) is not None:
                break  # else a sweep came in between, and took it
        try:
            yield Staging(folder=folder)
        finally:
            with suppress(OSError):  # swept later
                remove_tree(folder, timeout=_REMOVAL)
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove the folders that processes staged trees in and that died: those whose lock is free."""
        for folder in list((self.root / "drafts").iterdir()):
            with suppress(OSError):  # swept later
                if (descriptor := lock_folder(folder)) is not None:
                    try:
                        remove_tree(folder, timeout=_REMOVAL)
                    finally:
                        os.close(descriptor)

    def pin(self, sha256: str, workspace: Path) -> None:
        """Note that a workspace, which is there, uses a tree, whose lock is held; nothing happens when that is known.

        Raises:
            OSError: It cannot be noted.
        """
        pin = self._pin(sha256, workspace)
        pin.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            # relative, so that it holds in a container that sees the state folder elsewhere
            pin.symlink_to(os.path.relpath(workspace.resolve(), pin.parent.resolve()))

    def unpin(self, sha256: str, workspace: Path) -> None:
        """Forget that a workspace used a tree, unless it is still there."""
        pin = self._pin(sha256, workspace)
        if not _is_there(pin):
            pin.unlink(missing_ok=True)

    def pinned(self, sha256: str) -> bool:
        """Tell whether any run uses a tree, and forget those that do no longer."""
        with suppress(FileNotFoundError):
            for pin in list((self.root / "leases" / sha256).iterdir()):
                if _is_there(pin):
                    return True
                pin.unlink(missing_ok=True)
        return False

    def forget_pins(self, sha256: str) -> None:
        """Remove the folder of the pins of a tree that no run uses."""
        with suppress(FileNotFoundError):
            (self.root / "leases" / sha256).rmdir()

    def _pin(self, sha256: str, workspace: Path) -> Path:
        name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:16]
        return self.root / "leases" / sha256 / f"{workspace.parent.name[:_SHOWN]}.{name}"


def _is_there(pin: Path) -> bool:
    """Tell whether the workspace of a pin is there; what cannot be looked at is."""
    try:
        pin.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    """Remove what may be damaged, and not even a folder."""
    if stat.S_ISDIR(path.lstat().st_mode):
        remove_tree(path, timeout=_REMOVAL)
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
