"""What the cache writes down: of each tree, so that it tells later whether it is still what it was; of each object."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import attrs
from attrs.validators import instance_of

from botdock._whole_files import publish
from botdock.model import ObjectInfo

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096
"""Bytes that a file system keeps a file in, as most do."""
Identity = tuple[str, ...]
"""What names an object for good: kind, storage, its location, key."""


@attrs.frozen(kw_only=True)
class TreeRecord:
    """What is written down of a tree, beside it.

    Attributes:
        entries: Files, folders and links.
        bytes: What it takes on the disk: each file rounded up to 4 KiB, and 4 KiB for each folder or link.
        stamp: SHA-256 over what `lstat` says of each entry: name, mode, size, time of change, inode. No write, however
            well hidden, leaves the time of change as it was.
        content: SHA-256 over names, modes and contents.
        limits: The limits under which it was unpacked.
    """

    entries: int = attrs.field(validator=instance_of(int))
    bytes: int = attrs.field(validator=instance_of(int))
    stamp: str = attrs.field(validator=instance_of(str))
    content: str = attrs.field(validator=instance_of(str))
    limits: Mapping[str, int] = attrs.field(validator=instance_of(dict))

    @classmethod
    def of(cls, tree: Path, limits: Mapping[str, int]) -> TreeRecord:
        """Look at a tree that does not change any more."""
        return cls(**survey(tree)._asdict(), content=content_digest(tree), limits=dict(limits))

    @classmethod
    def read(cls, path: Path) -> TreeRecord | None:
        """Read a record back; None when it is absent or not whole."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(attrs.asdict(self))

    def allows(self, limits: Mapping[str, int]) -> bool:
        """Tell whether what was unpacked under the limits of then keeps `limits` as well."""
        return all(self.limits.get(name, bound + 1) <= bound for name, bound in limits.items())


class Look(NamedTuple):
    """What `lstat` says of all that is in a tree; as in `TreeRecord`."""

    entries: int
    bytes: int
    stamp: str


def make_read_only(tree: Path) -> None:
    """Take the right to write from all that is below a tree; the tree itself must still be moved."""
    for path, found in _walk(tree):
        if not stat.S_ISLNK(found.st_mode):
            (tree / path).chmod(stat.S_IMODE(found.st_mode) & ~_WRITABLE)


def survey(tree: Path) -> Look:
    """Look at every entry of a tree, without opening a file; two thirds of the time is the kernel's own.

    Raises:
        OSError: Something cannot be looked at.
    """
    digest, entries, size = hashlib.sha256(), 0, 0
    for prefix, found in _folders(tree):
        facts = [prefix]
        for name, at in found:
            mode, length = at.st_mode, at.st_size
            size += -(-length // _BLOCK) * _BLOCK if stat.S_ISREG(mode) else _BLOCK
            facts.append(f"{name}/{mode}/{length}/{at.st_ctime_ns}/{at.st_ino}")
        entries += len(found)
        digest.update("\n".join(facts).encode(errors="surrogateescape"))
    return Look(entries, size, digest.hexdigest())


def content_digest(tree: Path) -> str:
    """Return the SHA-256 over the names, modes and contents of a tree; reads all of it.

    Raises:
        OSError: Something cannot be read.
    """
    digest = hashlib.sha256()
    for path, found in _walk(tree):
        facts = f"{path}/{found.st_mode}/{_content(tree / path, found.st_mode)}\n"
        digest.update(facts.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _content(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.readlink(path)  # noqa: PTH115 - pathlib's leaves out what it takes for redundant
    if not stat.S_ISREG(mode):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is below a tree, in one order."""
    for prefix, found in _folders(tree):
        for name, at in found:
            yield prefix + name, at


def _folders(tree: Path) -> Iterator[tuple[str, list[tuple[str, os.stat_result]]]]:
    """Yield each folder of a tree and what is in it; nothing of the tree itself, whose time changes with its place.

    Names are looked up in an open folder, which takes a quarter less time than whole paths do.
    """
    root, pending = os.open(tree, _FOLDER), [""]
    try:
        while pending:
            prefix = pending.pop()
            found = _look(root, prefix or ".")
            yield prefix, found
            pending += [f"{prefix}{name}/" for name, at in found if stat.S_ISDIR(at.st_mode)]
    finally:
        os.close(root)


def _look(root: int, path: str) -> list[tuple[str, os.stat_result]]:
    folder = os.open(path, _FOLDER, dir_fd=root)
    try:
        with os.scandir(folder) as items:
            names = sorted([item.name for item in items])
        return [(name, os.stat(name, dir_fd=folder, follow_symlinks=False)) for name in names]
    finally:
        os.close(folder)


class Index:
    """Which bytes each object had when it was last fetched, a file per object; a tree is verified all the same.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, identity: Identity, info: ObjectInfo | None) -> str | None:
        """Return the digest of the bytes that an object had; None where that is not known.

        Args:
            identity: The object.
            info: What it is now: one that differs in anything is another. None takes it for what it was.
        """
        known = _read(self._path(identity))
        if known is None or known["identity"] != list(identity):
            return None
        sha256: str = known["sha256"]
        return sha256 if info is None or known == _document(identity, info, sha256) else None

    def remember(self, identity: Identity, info: ObjectInfo, sha256: str, *, draft: Path) -> None:
        """Note what an object is; `draft` is a name that the file may have meanwhile."""
        text = json.dumps(_document(identity, info, sha256))
        publish(self._path(identity), text.encode(), durable=False, draft=draft)

    def forget(self, digests: AbstractSet[str]) -> None:
        """Remove what leads to trees that are gone, and what cannot be read."""
        for path in list(self._folder.iterdir()):
            known = _read(path)
            if known is None or known["sha256"] in digests:
                path.unlink(missing_ok=True)

    def _path(self, identity: Identity) -> Path:
        return self._folder / f"{digest_of(identity)}.json"


def digest_of(identity: Identity) -> str:
    """Return a name for an identity that any file may have."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _document(identity: Identity, info: ObjectInfo, sha256: str) -> dict[str, Any]:
    modified = info.modified.isoformat()
    return {"identity": list(identity), "etag": info.etag, "size": info.size, "modified": modified, "sha256": sha256}


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError, RecursionError):
        known = json.loads(path.read_bytes())
        if isinstance(known, dict) and isinstance(known.get("identity"), list) and isinstance(known.get("sha256"), str):
            return known
    return None
