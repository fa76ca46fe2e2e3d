"""Brings an archive into the cache, once for all runs that want it, or finds it there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import attrs

from botdock._log import logger
from botdock.errors import ObjectNotFoundError, StorageError, StorageUnavailableError
from botdock.model import ObjectInfo
from botdock.services.code.sources import CodeKind, CodeSource, Supply, check_digest
from botdock.services.code.workspace import Workspace
from botdock.services.code_cache import CodeCache

Meter = Callable[[int, int], None]
"""Told how far a step is: bytes so far, bytes in all (0 for not known)."""

CHUNK = 1024 * 1024
STALE = "cached copy, the storage did not answer"


@attrs.frozen(kw_only=True)
class Fetch:
    """One archive that one execution wants; of several who want the same, one fetches it, and the others wait.

    Attributes:
        supply: The archive.
        workspace: The execution that it is for.
        wanted: The digest that it must have; None for any.
        trusts_digest: Whether a tree of that digest will do, wherever it came from; else the storage must hold it too.
        progress: Told how far a download is.
        check_size: Refuses what is too large to be an archive.
    """

    supply: Supply
    workspace: Workspace
    wanted: str | None
    trusts_digest: bool
    progress: Meter
    check_size: Callable[[str, int], None]

    def without_cache(self) -> CodeSource:
        """Spool the archive into the workspace.

        Raises:
            CodeError: It has another digest.
            StorageError: The storage or the disk could not do its part.
        """
        spool = self.workspace.spool
        sha256, size = self._spool(spool, 0)
        return CodeSource(kind=self.supply.kind, path=spool, origin=self.supply.name, size=size, sha256=sha256)

    def through(self, cache: CodeCache) -> CodeSource:
        """Find the archive in a cache, or spool it and keep others from doing the same until it is unpacked.

        Raises:
            CodeError: It has another digest.
            StorageError: The storage or the cache could not do its part.
        """
        found, _ = self._look(cache)
        if found:
            return found
        with ExitStack() as stack:
            stack.enter_context(cache.alone_with(self.supply.identity))
            found, info = self._look(cache)
            return found or self._fill(cache, info, stack)

    def _look(self, cache: CodeCache) -> tuple[CodeSource | None, ObjectInfo | None]:
        """Look for the archive in the cache; return what is known of it now, too.

        An archive of this machine is read in any case, and its digest is compared with the one that is said.
        """
        supply = self.supply
        if self.trusts_digest and supply.kind is not CodeKind.ARCHIVE and (found := self._use(cache, self.wanted)):
            return found, None
        try:
            info = supply.stat()
        except StorageUnavailableError:
            if found := self._use(cache, cache.recall(supply.identity), STALE):
                logger.bind(code=supply.name).warning("the storage does not answer; its code is cached")
                return found, None
            raise
        return self._use(cache, cache.recall(supply.identity, info) if info else None), info

    def _use(self, cache: CodeCache, sha256: str | None, note: str = "") -> CodeSource | None:
        if sha256 is None or self.wanted not in {None, sha256}:
            return None
        tree = cache.use(sha256, self.workspace.root)
        return self._cached(cache, tree, sha256, note) if tree else None

    def _cached(self, cache: CodeCache, tree: Path, sha256: str, note: str = "") -> CodeSource:
        self.workspace.held.callback(cache.release, sha256, self.workspace.root)
        supply = self.supply
        return CodeSource(kind=supply.kind, path=tree, origin=supply.name, sha256=sha256, cached=True, note=note)

    def _fill(self, cache: CodeCache, info: ObjectInfo | None, stack: ExitStack) -> CodeSource:
        """Spool the archive, and keep what `stack` holds until it is unpacked, unless its tree is in the cache."""
        supply, workspace = self.supply, self.workspace
        staging = stack.enter_context(cache.staging())
        sha256, size = self._spool(staging.archive, info.size if info else 0)
        if info and self._is_still(info, size):
            staging.known = (supply.identity, info)
        if tree := stack.enter_context(cache.filling(sha256, workspace.root)):
            cache.remember(sha256, staging)
            return self._cached(cache, tree, sha256)
        staging.held = stack.pop_all()
        workspace.held.callback(cache.release, sha256, workspace.root)
        workspace.held.callback(staging.held.close)
        return CodeSource(
            kind=supply.kind, path=staging.archive, origin=supply.name, size=size, sha256=sha256, staging=staging
        )

    def _spool(self, path: Path, total: int) -> tuple[str, int]:
        """Write the archive to a new file, which is removed when that fails; return its digest and size."""
        name, digest, size = self.supply.name, hashlib.sha256(), 0
        try:
            with self.supply.open() as reader, path.open("xb") as file:
                try:
                    while chunk := reader.read(CHUNK):
                        size += len(chunk)
                        self.check_size(name, size)
                        digest.update(chunk)
                        file.write(chunk)
                        self.progress(size, total)
                    file.flush()
                    check_digest(name, digest.hexdigest(), self.wanted)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise StorageError(
                f"cannot fetch {name!r} into {path}: {error.strerror or error}",
                key=name,
                backend=str(path.parent),
                hint="Free some space, or choose another place with BOTDOCK_HOME.",
            ) from error
        return digest.hexdigest(), size

    def _is_still(self, before: ObjectInfo, size: int) -> bool:
        """Tell whether the object is what it was before it was read.

        Raises:
            StorageError: It is, and yet other bytes came than there are.
        """
        after = None
        with suppress(StorageUnavailableError, ObjectNotFoundError):
            after = self.supply.stat()
        if before != after:
            return False
        if before.size != size:
            raise StorageError(
                f"{self.supply.name!r} is {before.size} bytes long, and {size} came",
                key=self.supply.name,
                hint="The connection may have been cut; run it again.",
            )
        return True
