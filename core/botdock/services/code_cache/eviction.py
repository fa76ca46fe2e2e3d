"""Keeps a cache within its size: what was used longest ago goes first, and never what is in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from botdock._locks import locked_at_once
from botdock._log import logger
from botdock.services.code_cache.drafts import sweep
from botdock.services.code_cache.seal import Seal
from botdock.services.code_cache.shelf import Shelf

_SEAL = ".json"


class Stored(NamedTuple):
    """A tree of the cache.

    Attributes:
        used: When it was last used, in nanoseconds; 0 for one without a seal, which goes first.
        sha256: Its digest.
        bytes: What it takes on the disk.
    """

    used: int
    sha256: str
    bytes: int


def stored(shelf: Shelf) -> Iterator[Stored]:
    """Yield the trees that are there, in no order."""
    for path in list((shelf.root / "code").iterdir()):
        if path.suffix != _SEAL:
            with suppress(FileNotFoundError):
                yield _stored(shelf, path.name)


def _stored(shelf: Shelf, sha256: str) -> Stored:
    seal = Seal.read(shelf.seal(sha256))
    used = shelf.seal(sha256).stat().st_mtime_ns if seal else 0
    return Stored(used, sha256, seal.bytes if seal else 0)


def trim(shelf: Shelf, limit: int) -> bool:
    """Bring a cache to its size and remove what dead processes left; nothing happens when somebody else is at it.

    Returns:
        Whether it is within its size now, and nothing waits to be removed until nobody uses it.
    """
    with locked_at_once(shelf.root / "trim") as alone:
        if not alone:
            return False
        sweep(shelf.drafts)
        shelf.step("swept")
        within = _evict(shelf, limit)
        shelf.step("evicted")
        _remove_seals_of_nothing(shelf)
        _remove_leases_of_nothing(shelf)
        cleared = shelf.clear_aside()
        _remove_locks_of_nothing(shelf)
    return within and cleared


def _evict(shelf: Shelf, limit: int) -> bool:
    trees = sorted(stored(shelf))
    total, gone = sum(tree.bytes for tree in trees), set()
    for tree in trees:
        if (total > limit or not tree.used) and _take_off(shelf, tree):
            total -= tree.bytes
            gone.add(tree.sha256)
    if gone:
        shelf.index.forget(gone)
    return total <= limit


def _take_off(shelf: Shelf, tree: Stored) -> bool:
    with locked_at_once(shelf.lock(tree.sha256)) as alone:
        if not alone or _is_wanted(shelf, tree):
            return False
        shelf.take_off(tree.sha256)
        shelf.leases.forget(tree.sha256)
    logger.bind(sha256=tree.sha256, bytes=tree.bytes).debug("code evicted from the cache")
    return True


def _is_wanted(shelf: Shelf, tree: Stored) -> bool:
    """Tell whether a tree is in use, or has been used since it was looked at; it is locked now."""
    try:
        changed = _stored(shelf, tree.sha256) != tree
    except FileNotFoundError:
        changed = True
    return changed or shelf.leases.any_of(tree.sha256)


def _remove_seals_of_nothing(shelf: Shelf) -> None:
    for seal in list((shelf.root / "code").glob(f"*{_SEAL}")):
        if not shelf.tree(seal.stem).exists():
            with locked_at_once(shelf.lock(seal.stem)) as alone:
                if alone and not shelf.tree(seal.stem).exists():
                    seal.unlink(missing_ok=True)


def _remove_leases_of_nothing(shelf: Shelf) -> None:
    for folder in list((shelf.root / "leases").iterdir()):
        if not shelf.leases.any_of(folder.name) and not shelf.tree(folder.name).exists():
            with locked_at_once(shelf.lock(folder.name)) as alone:
                if alone and not shelf.leases.any_of(folder.name):
                    shelf.leases.forget(folder.name)


def _remove_locks_of_nothing(shelf: Shelf) -> None:
    known = {path.name for path in (shelf.root / "code").iterdir()}
    known |= {path.stem for path in (shelf.root / "keys").iterdir()}
    for lock in list((shelf.root / "locks").iterdir()):
        if lock.name not in known:
            _remove_if_free(lock)


def _remove_if_free(lock: Path) -> None:
    with suppress(FileNotFoundError), locked_at_once(lock) as alone:
        if alone:
            lock.unlink(missing_ok=True)
