"""Whether the symbolic links of a tree stay inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from botdock.archive._entry import fold, refusal, shown
from botdock.archive._limits import ArchiveLimits
from botdock.errors import ArchiveError

MAX_CHAIN = 40
"""Links that one link may lead through; Linux follows no more (MAXSYMLINKS)."""


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
