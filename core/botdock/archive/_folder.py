"""The entries of a folder on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import filterfalse, islice
from pathlib import Path

from botdock.archive._entry import FOLDER_MODE, PREFIX, SUFFIX, Entry, Item, Items, Kind, kind_of
from botdock.archive._limits import ArchiveLimits
from botdock.archive._refusal import refusal
from botdock.archive._source import CHUNK
from botdock.errors import ArchiveError


def folder_items(tree: Path, limits: ArchiveLimits, *, skip: str = "") -> Items:
    """Yield what lies in a folder, each folder before its content, in the order of the names' code points.

    Args:
        tree: The folder; it may itself be a link.
        limits: How many entries one folder may have.
        skip: A path to leave out, as is everything of ours that is unfinished.

    Raises:
        ArchiveError: `source`: something cannot be read, or changes meanwhile; `entries`.
    """
    with _opened(None, tree, flags=os.O_DIRECTORY) as root:
        yield from _items(root, "", limits, skip)


def _items(folder: int, prefix: str, limits: ArchiveLimits, skip: str) -> Items:
    for name in _names(folder, prefix, limits):
        path = prefix + name
        if path != skip:
            yield from _item(folder, name, path, limits, skip)


def _names(folder: int, prefix: str, limits: ArchiveLimits) -> list[str]:
    with os.scandir(folder) as found:
        names = sorted(islice(filterfalse(_is_unfinished, (entry.name for entry in found)), limits.entries + 1))
    if len(names) > limits.entries:
        reason = f"is one too many; {limits.entries} files, folders and links are allowed"
        raise refusal(reason, limit=f"entries={limits.entries}", entry=prefix + names[-1])
    return names


def _is_unfinished(name: str) -> bool:
    return name.startswith(PREFIX) and name.endswith(SUFFIX)


def _item(folder: int, name: str, path: str, limits: ArchiveLimits, skip: str) -> Items:
    kind = kind_of(_status(folder, name, path).st_mode)
    if kind is Kind.FILE:
        with _opened(path, name, folder) as descriptor:
            yield _file(descriptor, path)
    elif kind is Kind.FOLDER:
        yield Entry(name=path, kind=kind, mode=FOLDER_MODE), ()
        with _opened(path, name, folder, os.O_DIRECTORY | os.O_NOFOLLOW) as descriptor:
            yield from _items(descriptor, path + "/", limits, skip)
    else:
        yield Entry(name=path, kind=kind, target=_target(folder, name, path) if kind is Kind.SYMLINK else ""), ()


def _file(descriptor: int, path: str) -> Item:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _changed(path)
    entry = Entry(name=path, kind=Kind.FILE, mode=stat.S_IMODE(found.st_mode), size=found.st_size)
    return entry, _content(descriptor, path, found.st_size)


def _content(descriptor: int, path: str, size: int) -> Iterator[bytes]:
    """Yield exactly as many bytes as were declared: a log that grows as fast as it is read would never end."""
    left = size
    while left:
        with _reading(path):
            chunk = os.read(descriptor, min(left, CHUNK))
        if not chunk:
            raise _changed(path)
        left -= len(chunk)
        yield chunk


def _status(folder: int, name: str, path: str) -> os.stat_result:
    with _reading(path):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _target(folder: int, name: str, path: str) -> str:
    with _reading(path):
        return os.readlink(name, dir_fd=folder)


@contextmanager
def _opened(path: str | None, name: str | Path, folder: int | None = None, flags: int = os.O_NOFOLLOW) -> Iterator[int]:
    with _reading(path):  # no link that took a name's place meanwhile is followed, and no pipe waited for
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _reading(path: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}", limit="source", entry=path) from error


def _changed(path: str) -> ArchiveError:
    return refusal("changed while it was read", limit="source", entry=path)
