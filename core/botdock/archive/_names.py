"""Which names an entry may have, and whether symbolic links stay inside the tree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from botdock.archive._entry import Entry, EntryKind, refusal, shown
from botdock.archive._limits import ArchiveLimits
from botdock.errors import ArchiveError
from botdock.model.storage import MAX_SEGMENT_BYTES

MAX_CHAIN = 40
"""Links that one link may lead through; Linux follows no more (MAXSYMLINKS)."""

_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_NOT_TEXT = re.compile(r"[\ud800-\udfff]")
"""What stands for bytes that are not UTF-8."""
_DRIVE = re.compile(r"[A-Za-z]:")


def path_of(entry: Entry, limits: ArchiveLimits) -> str:
    """Return the path below the tree that an entry's name means; empty for the tree itself.

    Segments `.` and empty ones mean nothing (`./a//b/` is `a/b`); `..` is refused even where it would not leave.

    Raises:
        ArchiveError: `name`, `name_bytes`, `absolute`, `traversal` or `depth`.
    """
    name = entry.name
    check_text(name, entry, limits)
    if name.startswith("/"):
        raise refusal("is absolute", limit="absolute", entry=name)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise refusal("climbs with '..'", limit="traversal", entry=name)
    if any(len(part.encode()) > MAX_SEGMENT_BYTES for part in parts):
        reason = f"has a segment of more than {MAX_SEGMENT_BYTES} bytes"
        raise refusal(reason, limit=f"name_bytes={MAX_SEGMENT_BYTES}", entry=name)
    if len(parts) - (entry.kind is not EntryKind.FOLDER) > limits.depth:
        raise refusal(f"lies deeper than {limits.depth} folders", limit=f"depth={limits.depth}", entry=name)
    return "/".join(parts)


def check_text(text: str, entry: Entry, limits: ArchiveLimits) -> None:
    """Refuse a name, or a link's target, that is empty, unprintable, too long, or means something else elsewhere."""
    problem = None
    if not text:
        problem = "has an empty name or target"
    elif _NOT_TEXT.search(text):
        problem = "has a name or target in an encoding that is not UTF-8"
    elif _UNUSABLE.search(text):
        problem = "holds a control character or a backslash"
    elif _DRIVE.match(text):
        problem = "begins with a drive letter"
    if problem:
        hint = "Pack it with names in UTF-8: `botdock pack` does so." if _NOT_TEXT.search(text) else None
        raise refusal(problem, limit="name", entry=entry.name, hint=hint)
    if (size := len(text.encode())) > limits.name_bytes:
        reason = f"has a name or a target of {size} bytes; {limits.name_bytes} are allowed"
        raise refusal(reason, limit=f"name_bytes={limits.name_bytes}", entry=entry.name)


def fold(path: str) -> str:
    """Return what two paths share that some file system takes for one: case and Unicode form do not count."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


class Link(NamedTuple):
    """A symbolic link: its name in the archive, its path in the tree, and what it points to."""

    name: str
    path: str
    target: str


class _End(NamedTuple):
    """The folded path of where a link ends, and how many links lead there."""

    at: str
    length: int


class Links:
    """All symbolic links of a tree, resolved as the kernel would, once all are known.

    Only then: `a/../x` is inside as text, but is outside where `a` is itself a link, and `a` may come later. Names
    are compared folded, because a file system may do so too.

    Args:
        links: The links, by their folded paths.
        limits: How long a name may be.
    """

    def __init__(self, links: Mapping[str, Link], limits: ArchiveLimits) -> None:
        self._links = links
        self._most = 2 * limits.name_bytes  # nothing in the tree has a longer path, even where folding lengthens it
        self._ends: dict[str, _End] = {}

    def check(self) -> None:
        """Refuse the first link that leads out of the tree, or in a circle.

        Raises:
            ArchiveError: With the limit `link_escape`.
        """
        for key, link in self._links.items():
            self._end(key, link, 1)

    def _end(self, key: str, link: Link, chain: int) -> _End:
        """Return where a link ends; each is walked once, however many lead to it."""
        if chain > MAX_CHAIN:
            raise _endless(link)
        if key not in self._ends:
            self._ends[key] = self._walk(key, link, chain)
        return self._ends[key]

    def _walk(self, key: str, link: Link, chain: int) -> _End:
        at = key.rpartition("/")[0]
        longest = 0
        if link.target.startswith("/"):
            raise _leaves(link)
        for part in fold(link.target).split("/"):
            if part == ".." and not at:
                raise _leaves(link)
            at, length = self._step(at, part, chain)
            longest = max(longest, length)
            if len(at) > self._most:
                raise _endless(link)
        if longest >= MAX_CHAIN:
            raise _endless(link)
        return _End(at, longest + 1)

    def _step(self, at: str, part: str, chain: int) -> _End:
        if part in {"", "."}:
            return _End(at, 0)
        if part == "..":
            return _End(at.rpartition("/")[0], 0)
        there = f"{at}/{part}" if at else part
        inner = self._links.get(there)
        return _End(there, 0) if inner is None else self._end(there, inner, chain + 1)


def _leaves(link: Link) -> ArchiveError:
    reason = f"is a link to {shown(link.target)}, which leads out"
    hint = "Put what it leads to in its place, or remove it."
    return refusal(reason, limit="link_escape", entry=link.name, hint=hint)


def _endless(link: Link) -> ArchiveError:
    return refusal("leads in a circle, through too many links, or too deep", limit="link_escape", entry=link.name)
