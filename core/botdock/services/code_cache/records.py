"""Makes a tree read-only, and tells later by its record whether it is still what it was."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import attrs
from attrs.validators import instance_of

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096
"""Bytes that a file system keeps a file in, as most do."""


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
