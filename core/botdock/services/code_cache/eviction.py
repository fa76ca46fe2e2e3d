"""Keeps a cache within its size and age: what was used longest ago goes first, and never what is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from botdock._locks import locked_at_once
from botdock._log import logger
from botdock.services.code_cache.folder import CacheFolder
from botdock.services.code_cache.records import TreeRecord


class CachedTree(NamedTuple):
    """A tree of the cache.

    Attributes:
        used: When a run last asked for it, in nanoseconds; 0 for one without a record, which goes first.
        sha256: Digest of the archive that it came from.
        bytes: What it takes on the disk.
        in_use: Whether an execution uses it; only where that was asked for.
    """

    used: int
    sha256: str
    bytes: int
    in_use: bool = False


def trees_of(cache: CacheFolder) -> Iterator[CachedTree]:
    """Yield the trees that are there, in no order."""
    for path in list((cache.root / "code").iterdir()):
        if path.suffix != ".json":
            with suppress(FileNotFoundError):
                yield _tree(cache, path.name)


def _tree(cache: CacheFolder, sha256: str) -> CachedTree:
    record = TreeRecord.read(cache.record(sha256))
    used = cache.record(sha256).stat().st_mtime_ns if record else 0
    return CachedTree(used, sha256, record.bytes if record else 0)


class Trimmed(NamedTuple):
    """What came of a trim.

    Attributes:
        gone: What was evicted.
        within: Whether the cache is within its size, and nothing waits to be removed until no run uses it.
    """

    gone: list[CachedTree]
    within: bool


def trim(cache: CacheFolder, limit: int, before: int) -> Trimmed:
    """Bring a cache to its size and age, and remove what dead processes left; nothing while another process does.

    Args:
        cache: The cache.
        limit: Bytes that it may take.
        before: Nanoseconds; what was last used before then goes.
    """
    with locked_at_once(cache.root / "trim") as alone:
        if not alone:
            return Trimmed([], within=False)
        cache.sweep()
        trimmed = _choose(cache, limit, before, _evict)
        if trimmed.gone:
            cache.index.forget({tree.sha256 for tree in trimmed.gone})
        _remove_what_belongs_to_nothing(cache)
        return Trimmed(trimmed.gone, within=cache.clear_aside() and trimmed.within)


def foresee(cache: CacheFolder, limit: int, before: int) -> list[CachedTree]:
    """Return what `trim` would evict now."""
    return _choose(cache, limit, before, lambda cache, tree: not cache.pinned(tree.sha256)).gone


def _choose(cache: CacheFolder, limit: int, before: int, evict: Callable[[CacheFolder, CachedTree], bool]) -> Trimmed:
    trees = sorted(trees_of(cache))
    total, gone = sum(tree.bytes for tree in trees), []
    for tree in trees:
        if (total > limit or not tree.used or tree.used < before) and evict(cache, tree):
            total -= tree.bytes
            gone.append(tree)
    return Trimmed(gone, within=total <= limit)


def _evict(cache: CacheFolder, tree: CachedTree) -> bool:
    """Evict a tree, unless it is locked, in use, or was used since it was looked at; tell whether it is gone."""
    with locked_at_once(cache.lock(tree.sha256)) as alone:
        try:
            if not alone or _tree(cache, tree.sha256) != tree or cache.pinned(tree.sha256):
                return False
        except FileNotFoundError:
            return False
        cache.evict(tree.sha256)
        cache.forget_pins(tree.sha256)
    logger.bind(sha256=tree.sha256, bytes=tree.bytes).debug("code evicted from the cache")
    return True


def _remove_what_belongs_to_nothing(cache: CacheFolder) -> None:
    """Remove records and pins without a tree, and locks of neither a tree nor an object; not what another run locks."""
    for path in [*(cache.root / "code").glob("*.json"), *(cache.root / "leases").iterdir()]:
        sha256 = path.name.removesuffix(".json")
        cache.pinned(sha256)  # forgets the pins that have ended
        if not cache.tree(sha256).exists():
            with locked_at_once(cache.lock(sha256)) as alone:
                if alone and not cache.tree(sha256).exists():
                    cache.record(sha256).unlink(missing_ok=True)
                    if not cache.pinned(sha256):
                        cache.forget_pins(sha256)
    known = {path.name.removesuffix(".json") for part in ("code", "keys") for path in (cache.root / part).iterdir()}
    for lock in list((cache.root / "locks").iterdir()):
        if lock.name not in known:
            with suppress(FileNotFoundError), locked_at_once(lock) as alone:
                if alone:
                    lock.unlink(missing_ok=True)
