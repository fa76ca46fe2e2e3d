"""Unpacked code, kept by the digest of the archive it came from, and shared by all runs of a state folder.

Below `cache/` of the state folder:

    code/<sha256>/       a tree, read-only: what a container has mounted
    code/<sha256>.json   its record; a tree counts only when it is what its record says
    leases/<sha256>/     its pins: links to the workspaces of the executions that use it
    keys/                which bytes an object had when it was last fetched, by its etag
    drafts/              what is being fetched and unpacked
    aside/               trees that were damaged or evicted, until no run uses them
    locks/               one lock per tree and per object

Safe between threads and processes. Each step leaves either the old or the new: a tree appears by one rename, when it
is complete and its record is there. Nothing is synced to the disk; a tree that a power cut damaged is not what its
record says, and is fetched again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from botdock._locks import locked
from botdock._log import logger
from botdock._whole_files import publish
from botdock.errors import StorageError
from botdock.model import ObjectInfo
from botdock.services.code_cache.eviction import CachedTree, foresee, trees_of, trim
from botdock.services.code_cache.folder import CacheFolder, Staging, failures
from botdock.services.code_cache.records import Identity, TreeRecord, content_digest, digest_of, make_read_only

_GONE = "it is not there"
PATIENCE = 900.0
"""Seconds to wait for another run that fetches the same code; as long as a pull may take."""


class CodeCache:
    """The trees of one state folder; safe to use from several threads and processes.

    Args:
        root: Its folder; made when it is first used.
        limit: Bytes that it may take; only trees in use go beyond it.
        limits: The limits under which archives are unpacked: a tree that was unpacked under wider ones is not used.
        unused: Seconds that a tree may go unused; infinity where its age does not matter.
        patience: Seconds to wait for another run that fetches the same code.
    """

    def __init__(
        self,
        root: Path,
        *,
        limit: int,
        limits: Mapping[str, int],
        unused: float = math.inf,
        patience: float = PATIENCE,
    ) -> None:
        self.root = root
        self._limit = limit
        self._unused = unused
        self._patience = patience
        self._folder = CacheFolder(root=root, limits=dict(limits))
        self._tidied = False
        self._within = False

    def use(self, sha256: str, workspace: Path) -> Path | None:
        """Return the tree of an archive, pinned by a workspace until that is gone; None when it must be fetched.

        Raises:
            StorageError: The cache cannot be used.
        """
        with failures(self.root):
            self._make_ready()
            if not self._folder.tree(sha256).exists():
                return None
            with locked(self._folder.lock(sha256), shared=True, timeout=self._patience):
                return self._use(sha256, workspace)

    def release(self, sha256: str, workspace: Path) -> None:
        """Note that a workspace which is gone uses a tree no longer, so that it may make room; never raises."""
        with suppress(OSError):  # the pin has ended by itself, with the workspace
            self._folder.unpin(sha256, workspace)
        if not self._within:
            self.tidy()

    def tidy(self) -> None:
        """Do as `trim` does, where a failure is not worth an error: the next one tries again."""
        try:
            self.trim()
        except StorageError as error:
            logger.bind(error=error.message).warning("the code cache could not be tidied")

    def recall(self, identity: Identity, info: ObjectInfo | None = None) -> str | None:
        """Return the digest of the bytes that an object had when it was last fetched; see `Index.recall`."""
        with failures(self.root):
            return self._folder.index.recall(identity, info)

    def alone_with(self, identity: Identity) -> AbstractContextManager[None]:
        """Hold the lock of an object: another run that wants it too waits, and finds it fetched.

        Raises:
            StorageError: Another run has held it for too long, or the cache cannot be used.
        """
        return self._alone(digest_of(identity))

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Make a folder to fetch into.

        Raises:
            StorageError: The cache cannot be used.
        """
        with ExitStack() as stack:
            with failures(self.root):
                staging = stack.enter_context(self._folder.staging())
            yield staging

    @contextmanager
    def filling(self, sha256: str, workspace: Path) -> Iterator[Path | None]:
        """Hold the lock of a tree that is to be made, and give the tree if another run has made it meanwhile.

        Raises:
            StorageError: Another run has held it for too long, or the cache cannot be used.
        """
        with self._alone(sha256):
            with failures(self.root):
                found = self._use(sha256, workspace)
            yield found

    def publish(self, sha256: str, staging: Staging, workspace: Path) -> Path:
        """Make the staged tree the one of a digest, whose lock is held, pin it by a workspace, and note its object.

        Raises:
            StorageError: The cache cannot be used; the tree is not there, or is there and complete.
        """
        folder = self._folder
        with failures(self.root):
            make_read_only(staging.tree)
            record = TreeRecord.of(staging.tree, folder.limits)
            folder.evict(sha256)
            publish(folder.record(sha256), record.to_json().encode(), durable=False, draft=staging.text)
            folder.show(sha256, staging.tree)
            folder.pin(sha256, workspace)
        self.remember(sha256, staging)
        logger.bind(sha256=sha256, entries=record.entries, bytes=record.bytes).debug("code cached")
        return folder.tree(sha256)

    def remember(self, sha256: str, staging: Staging) -> None:
        """Note which bytes the staged object has; a disk that takes no more only costs time later."""
        try:
            if staging.known:
                self._folder.index.remember(*staging.known, sha256, draft=staging.text)
        except OSError as error:
            logger.bind(error=str(error)).warning("not noted which code was fetched")

    def trim(self) -> list[CachedTree]:
        """Bring the cache to its size and age, remove what processes that died left in it, and return what went.

        Raises:
            StorageError: The cache cannot be used.
        """
        with failures(self.root):
            self._folder.make()
            self._tidied = True
            gone, self._within = trim(self._folder, self._limit, self._before())
            return gone

    def foresee(self) -> list[CachedTree]:
        """Return what `trim` would remove now.

        Raises:
            StorageError: The cache cannot be used.
        """
        with failures(self.root):
            return foresee(self._folder, self._limit, self._before()) if self.root.exists() else []

    def _before(self) -> int:
        """Return the nanosecond before which a tree must have been last used to be too old; 0 where none is."""
        return max(round((time.time() - self._unused) * 1e9), 0) if math.isfinite(self._unused) else 0

    def trees(self) -> list[CachedTree]:
        """Return what is in the cache, what was used last first."""
        if not self.root.exists():
            return []
        with failures(self.root):
            found = sorted(trees_of(self._folder), reverse=True)
            return [tree._replace(in_use=self._folder.pinned(tree.sha256)) for tree in found]

    def verify(self, sha256: str) -> str:
        """Read all of a tree, and say what is wrong with it; empty when it is, byte for byte, what was unpacked.

        Raises:
            StorageError: The cache cannot be used, or another run has been making the tree for too long.
        """
        folder = self._folder
        with failures(self.root):
            if not folder.tree(sha256).exists():
                return _GONE
            with locked(folder.lock(sha256), shared=True, timeout=self._patience):  # else it is evicted meanwhile
                if not folder.tree(sha256).exists():
                    return _GONE
                if problem := folder.problem(sha256):
                    return problem
                record = TreeRecord.read(folder.record(sha256))
                same = record is not None and content_digest(folder.tree(sha256)) == record.content
                return "" if same else "its content is not what it was"

    def _make_ready(self) -> None:
        self._folder.make()  # each time: the user may have removed it all by hand
        if not self._tidied:
            self.trim()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with ExitStack() as stack:
            with failures(self.root):
                self._make_ready()
                stack.enter_context(locked(self._folder.lock(name), timeout=self._patience))
            yield

    def _use(self, sha256: str, workspace: Path) -> Path | None:
        """Pin a tree whose lock is held, unless it is damaged or not there."""
        if not self._folder.tree(sha256).exists():
            return None
        if problem := self._folder.problem(sha256):
            logger.bind(sha256=sha256, problem=problem).warning("cached code is not used")
            return None
        self._folder.pin(sha256, workspace)
        os.utime(self._folder.record(sha256))
        return self._folder.tree(sha256)
