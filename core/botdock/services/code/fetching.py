"""Brings an archive into the cache, once for all who want it, or finds it there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import attrs

from botdock._log import logger
from botdock.errors import ObjectNotFoundError, StorageError, StorageUnavailableError
from botdock.model import ObjectInfo
from botdock.services.code.supply import CodeKind, CodeSource, Supply, check_digest
from botdock.services.code.workspace import Workspace, new_file
from botdock.services.code_cache import CodeCache
from botdock.services.code_cache.drafts import Draft
from botdock.services.code_cache.index import Known

Meter = Callable[[int, int], None]
"""Told how far a step is: bytes so far, bytes in all (0 for not known)."""

CHUNK = 1024 * 1024
STALE = "cached copy, the storage did not answer"


class Spooled(NamedTuple):
    """Bytes that were written to a file.

    Attributes:
        sha256: Their digest.
        size: How many.
    """

    sha256: str
    size: int


def spool(supply: Supply, path: Path, check_size: Callable[[str, int], None], progress: Meter, total: int) -> Spooled:
    """Write an archive to a new file and hash it meanwhile; the file is removed when that fails.

    Args:
        supply: The archive.
        path: The file; its folder is there.
        check_size: Refuses what is too large to be an archive.
        progress: Told how far it is.
        total: How many bytes are expected; 0 for not known.

    Raises:
        StorageError: The disk takes no more.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with supply.open() as reader, new_file(path) as file:
            while chunk := reader.read(CHUNK):
                size += len(chunk)
                check_size(supply.name, size)
                digest.update(chunk)
                file.write(chunk)
                progress(size, total)
    except OSError as error:
        raise _spool_error(supply.name, path, error) from error
    return Spooled(digest.hexdigest(), size)


@attrs.define(kw_only=True)
class Filling:
    """A spooled archive on its way into the cache; its locks are held until it is closed.

    Attributes:
        cache: The cache.
        draft: Where it lies.
        workspace: The folder of the execution that it is for.
        sha256: Digest of its bytes.
        known: What is to be noted of where it came from; None when that is not sure.
        held: The locks and the draft.
    """

    cache: CodeCache
    draft: Draft
    workspace: Path
    sha256: str
    known: Known | None
    held: ExitStack

    def publish(self, unpack: Callable[[Path, Path], None]) -> Path:
        """Unpack the archive by `unpack`, and return its tree in the cache, leased to the workspace.

        Raises:
            ArchiveError: The archive is refused; nothing of it is visible.
            StorageError: The disk takes no more.
        """
        with self.held:
            unpack(self.draft.archive, self.draft.tree)
            tree = self.cache.publish(self.sha256, self.draft, self.workspace)
            if self.known:
                self.cache.remember(self.known, self.draft)
        self.cache.tidy()
        return tree

    def close(self) -> None:
        """Give up what was not published; may be called at any time."""
        self.held.close()


@attrs.frozen(kw_only=True)
class Fetch:
    """One archive that one execution wants; of several who want the same, one fetches it, and the others wait.

    Attributes:
        cache: The cache.
        supply: The archive.
        workspace: The execution that it is for.
        wanted: The digest that it must have; None for any.
        trusts_digest: Whether a tree of that digest will do, wherever it came from; else the storage must hold it too.
        progress: Told how far a download is.
        check_size: Refuses what is too large to be an archive.
    """

    cache: CodeCache
    supply: Supply
    workspace: Workspace
    wanted: str | None
    trusts_digest: bool
    progress: Meter
    check_size: Callable[[str, int], None]

    def run(self) -> CodeSource:
        """Find the archive in the cache, or spool it and keep others from doing the same until it is unpacked.

        Raises:
            CodeError: It has another digest.
            StorageError: The storage or the cache could not do its part.
        """
        found, _ = self._look()
        if found:
            return found
        with ExitStack() as stack:
            stack.enter_context(self.cache.alone_with(self.supply.identity))
            found, info = self._look()
            return found or self._spool(info, stack)

    def _look(self) -> tuple[CodeSource | None, ObjectInfo | None]:
        """Look for the archive in the cache; return what is known of it now, too."""
        if found := self._by_digest():
            return found, None
        try:
            info = self.supply.stat()
        except StorageUnavailableError:
            known = self.cache.recall(self.supply.identity)
            if found := self._by_index(known, STALE):
                logger.bind(code=self.supply.name).warning("the storage does not answer; its code is cached")
                return found, None
            raise
        known = self.cache.recall(self.supply.identity)
        return self._by_index(known if info and known and known.fits(info) else None), info

    def _by_digest(self) -> CodeSource | None:
        """Find what nothing but its digest need be known of; an archive of this machine is always compared with it."""
        if self.wanted is None or self.supply.kind is CodeKind.ARCHIVE or not self.trusts_digest:
            return None
        return self._use(self.wanted)

    def _by_index(self, known: Known | None, note: str = "") -> CodeSource | None:
        if known is None or self.wanted not in {None, known.sha256}:
            return None
        return self._use(known.sha256, note)

    def _use(self, sha256: str, note: str = "") -> CodeSource | None:
        tree = self.cache.use(sha256, self.workspace.root)
        return self._cached(tree, sha256, note) if tree else None

    def _cached(self, tree: Path, sha256: str, note: str = "") -> CodeSource:
        self._give_back_in_the_end(sha256)
        supply = self.supply
        return CodeSource(kind=supply.kind, path=tree, origin=supply.name, sha256=sha256, cached=True, note=note)

    def _spool(self, info: ObjectInfo | None, stack: ExitStack) -> CodeSource:
        """Spool the archive, and keep `stack` for whoever unpacks it, unless its tree is there by another name."""
        supply, cache = self.supply, self.cache
        draft = stack.enter_context(cache.draft())
        spooled = spool(supply, draft.archive, self.check_size, self.progress, info.size if info else 0)
        check_digest(supply.name, spooled.sha256, self.wanted)
        known = self._known(info, spooled)
        if tree := stack.enter_context(cache.filling(spooled.sha256, self.workspace.root)):
            if known:
                cache.remember(known, draft)
            return self._cached(tree, spooled.sha256)
        filling = Filling(
            cache=cache,
            draft=draft,
            workspace=self.workspace.root,
            sha256=spooled.sha256,
            known=known,
            held=stack.pop_all(),
        )
        self.workspace.held.callback(filling.close)
        self._give_back_in_the_end(spooled.sha256)
        return CodeSource(
            kind=supply.kind,
            path=draft.archive,
            origin=supply.name,
            size=spooled.size,
            sha256=spooled.sha256,
            filling=filling,
        )

    def _give_back_in_the_end(self, sha256: str) -> None:
        self.workspace.held.callback(self.cache.give_back, sha256, self.workspace.root)

    def _known(self, before: ObjectInfo | None, spooled: Spooled) -> Known | None:
        """Return what may be noted: nothing of an object that was replaced while it was read.

        Raises:
            StorageError: It was not, and yet other bytes came than there are.
        """
        after = None
        with suppress(StorageUnavailableError, ObjectNotFoundError):
            after = self.supply.stat()
        if before is None or before != after:
            return None
        if before.size != spooled.size:
            raise _cut_short(self.supply.name, spooled.size, before.size)
        return Known.of(self.supply.identity, before, spooled.sha256)


def _cut_short(name: str, size: int, announced: int) -> StorageError:
    return StorageError(
        f"{name!r} is {announced} bytes long, and {size} came",
        key=name,
        hint="The connection may have been cut; run it again.",
    )


def _spool_error(name: str, path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot fetch {name!r} into {path}: {error.strerror or error}",
        key=name,
        backend=str(path.parent),
        hint="Free some space, or choose another place with BOTDOCK_HOME.",
    )
