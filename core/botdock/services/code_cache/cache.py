"""Unpacked code, kept by the digest of the archive it came from, and shared by all runs of a state folder.

Below `cache/` of the state folder:

    code/<sha256>/       a tree, read-only: what a container has mounted
    code/<sha256>.json   its seal; a tree counts only when it is what its seal says
    leases/<sha256>/     links to the workspaces of the executions that use it
    keys/                which bytes an object had when it was last fetched, by its etag
    drafts/              what is being fetched and unpacked
    aside/               trees that were damaged or evicted, until nobody uses them
    locks/               one lock per tree and per object

Safe between threads and processes. Each step leaves either the old or the new: a tree appears by one rename, when it
is complete and its seal is there. Nothing is synced to the disk; a tree that a power cut damaged is not what its seal
says, and is fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from botdock._locks import locked
from botdock._log import logger
from botdock.errors import StorageError
from botdock.services.code_cache.drafts import Draft, new_draft
from botdock.services.code_cache.eviction import stored, trim
from botdock.services.code_cache.index import Identity, Known, digest_of
from botdock.services.code_cache.seal import Seal, content_digest, make_read_only
from botdock.services.code_cache.shelf import Shelf, failures

_GONE = "it is not there"
PATIENCE = 900.0
"""Seconds to wait for another run that fetches the same code; as long as a pull may take."""


@attrs.frozen(kw_only=True)
class CachedTree:
    """A tree of the cache.

    Attributes:
        sha256: Digest of the archive that it came from.
        bytes: What it takes on the disk.
        last_used: When a run last asked for it, UTC.
        in_use: Whether an execution uses it.
    """

    sha256: str
    bytes: int
    last_used: datetime
    in_use: bool


class CodeCache:
    """The trees of one state folder; safe to use from several threads and processes.

    Args:
        root: Its folder; made when it is first used.
        limit: Bytes that it may take; only trees in use go beyond it.
        limits: The limits under which archives are unpacked: a tree that was unpacked under wider ones is not used.
        patience: Seconds to wait for another run that fetches the same code.
        on_step: Told of each step, so that a test can stop there.
    """

    def __init__(
        self,
        root: Path,
        *,
        limit: int,
        limits: Mapping[str, int],
        patience: float = PATIENCE,
        on_step: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self.root = root
        self._limit = limit
        self._patience = patience
        self._shelf = Shelf(root=root, limits=dict(limits), step=on_step)
        self._tidied = False
        self._settled = False

    def use(self, sha256: str, workspace: Path) -> Path | None:
        """Return the tree of an archive, leased to a workspace until that is gone; None when it must be fetched.

        Raises:
            StorageError: The cache cannot be used.
        """
        with failures(self.root):
            self._make_ready()
            if not self._shelf.tree(sha256).exists():
                return None
            with locked(self._shelf.lock(sha256), shared=True, timeout=self._patience):
                return self._use(sha256, workspace)

    def give_back(self, sha256: str, workspace: Path) -> None:
        """Note that a workspace which is gone uses a tree no longer, so that it may make room; never raises."""
        with suppress(OSError):  # the lease has ended by itself, with the workspace
            self._shelf.leases.give_back(sha256, workspace)
        if not self._settled:
            self.tidy()

    def tidy(self) -> None:
        """Do as `trim` does, where a failure is not worth an error: the next one tries again."""
        try:
            self.trim()
        except StorageError as error:
            logger.bind(error=error.message).warning("the code cache could not be tidied")

    def recall(self, identity: Identity) -> Known | None:
        """Return which bytes an object had when it was last fetched."""
        with failures(self.root):
            return self._shelf.index.recall(identity)

    def alone_with(self, identity: Identity) -> AbstractContextManager[None]:
        """Hold the lock of an object: whoever wants it too waits, and finds it fetched.

        Raises:
            StorageError: Somebody else has held it for too long, or the cache cannot be used.
        """
        return self._alone(digest_of(identity))

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """Make a folder to fetch into.

        Raises:
            StorageError: The cache cannot be used.
        """
        with ExitStack() as stack:
            with failures(self.root):
                draft = stack.enter_context(new_draft(self._shelf.drafts))
            self._shelf.step("drafted")
            yield draft

    @contextmanager
    def filling(self, sha256: str, workspace: Path) -> Iterator[Path | None]:
        """Hold the lock of a tree that is to be made, and give the tree if somebody else has made it meanwhile.

        Raises:
            StorageError: Somebody else has held it for too long, or the cache cannot be used.
        """
        with self._alone(sha256):
            with failures(self.root):
                found = self._use(sha256, workspace)
            self._shelf.step("spooled")
            yield found

    def publish(self, sha256: str, draft: Draft, workspace: Path) -> Path:
        """Make the tree of a draft the one of a digest, whose lock is held, and lease it to a workspace.

        Raises:
            StorageError: The cache cannot be used; the tree is not there, or is there and complete.
        """
        shelf = self._shelf
        shelf.step("unpacked")
        with failures(self.root):
            make_read_only(draft.tree)
            seal = Seal.of(draft.tree, shelf.limits)
            shelf.step("sealed")
            shelf.take_off(sha256)
            draft.replace(shelf.seal(sha256), seal.to_json())
            shelf.step("attested")
            shelf.put_on(sha256, draft.tree)
            shelf.leases.take(sha256, workspace)
            shelf.step("leased")
        logger.bind(sha256=sha256, entries=seal.entries, bytes=seal.bytes).debug("code cached")
        return shelf.tree(sha256)

    def remember(self, known: Known, draft: Draft) -> None:
        """Note which bytes an object has; a disk that takes no more only costs time later."""
        try:
            self._shelf.index.remember(known, draft.replace)
        except OSError as error:
            logger.bind(error=str(error)).warning("not noted which code was fetched")
        self._shelf.step("remembered")

    def trim(self) -> None:
        """Bring the cache to its size, and remove what processes that died left in it.

        Raises:
            StorageError: The cache cannot be used.
        """
        with failures(self.root):
            self._shelf.make()
            self._tidied = True
            self._settled = trim(self._shelf, self._limit)

    def trees(self) -> list[CachedTree]:
        """Return what is in the cache, what was used last first."""
        if not self.root.exists():
            return []
        with failures(self.root):
            found = sorted(stored(self._shelf), reverse=True)
            return [
                CachedTree(
                    sha256=tree.sha256,
                    bytes=tree.bytes,
                    last_used=datetime.fromtimestamp(tree.used / 1e9, UTC),
                    in_use=self._shelf.leases.any_of(tree.sha256),
                )
                for tree in found
            ]

    def verify(self, sha256: str) -> str:
        """Read all of a tree, and say what is wrong with it; empty when it is, byte for byte, what was unpacked.

        Raises:
            StorageError: The cache cannot be used, or somebody has been making the tree for too long.
        """
        with failures(self.root):
            if not self._shelf.tree(sha256).exists():
                return _GONE
            with locked(self._shelf.lock(sha256), shared=True, timeout=self._patience):  # else it is evicted meanwhile
                return self._problem(sha256)

    def _problem(self, sha256: str) -> str:
        if not self._shelf.tree(sha256).exists():
            return _GONE
        if problem := self._shelf.problem(sha256):
            return problem
        seal = Seal.read(self._shelf.seal(sha256))
        same = seal is not None and content_digest(self._shelf.tree(sha256)) == seal.content
        return "" if same else "its content is not what it was"

    def _make_ready(self) -> None:
        self._shelf.make()  # each time: somebody may have removed it all by hand
        if not self._tidied:
            self.trim()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with ExitStack() as stack:
            with failures(self.root):
                self._make_ready()
                stack.enter_context(locked(self._shelf.lock(name), timeout=self._patience))
            yield

    def _use(self, sha256: str, workspace: Path) -> Path | None:
        """Lease a tree whose lock is held, unless it is damaged or not there."""
        if not self._shelf.tree(sha256).exists():
            return None
        if problem := self._shelf.problem(sha256):
            logger.bind(sha256=sha256, problem=problem).warning("cached code is not used")
            return None
        self._shelf.leases.take(sha256, workspace)
        os.utime(self._shelf.seal(sha256))
        return self._shelf.tree(sha256)
