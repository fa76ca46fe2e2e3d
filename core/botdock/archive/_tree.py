"""What may lie beside what in one tree, whatever the entries come from."""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

from botdock.archive._entry import Entry, Kind
from botdock.archive._limits import MAX_NAMES, ArchiveLimits
from botdock.archive._links import Link, Links
from botdock.archive._names import check_text, fold, path_of
from botdock.archive._refusal import refusal, shown
from botdock.errors import ArchiveError
from botdock.model.limits import MIB


class Place(NamedTuple):
    """Where an entry goes.

    Attributes:
        path: Below the tree; empty for the tree itself.
        folders: Folders to make first, outermost first.
        target: For a hard link, the path of the file that it names.
    """

    path: str
    folders: Sequence[str] = ()
    target: str = ""


class _Node(NamedTuple):
    path: str
    kind: Kind
    implied: bool = False


class Tree:
    """The entries seen so far, and the rules between them.

    No entry may lie below a link, so the folder that an entry goes into is always a real one. Set-uid and set-gid are
    refused on a file, where they would lend somebody's rights; on folders they, and the sticky bit, are dropped.
    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._nodes: dict[str, _Node] = {}
        self._folders: set[str] = {""}
        self._links = Links(limits)
        self._rooted = False
        self._memory = 0
        self.files = 0

    @property
    def entries(self) -> int:
        """Files, folders and links so far."""
        return len(self._nodes)

    def add(self, entry: Entry) -> Place:
        """Take up an entry, and say where it goes.

        Raises:
            ArchiveError: It breaks a rule by itself, or together with what came before it.
        """
        path = path_of(entry, self._limits)
        _check_kind(entry)
        if not path:
            return self._add_root(entry)
        parent = path.rpartition("/")[0]
        folders = [] if parent in self._folders else self._imply(parent, entry)
        if entry.kind is Kind.FOLDER:
            return Place(path, self._add_folder(path, entry, folders))
        target = self._add_link(path, entry)
        self._insert(_Node(path, entry.kind), entry)
        return Place(path, folders, target)

    def finish(self) -> list[tuple[str, str]]:
        """Return the symbolic links as path and target, once it is sure that none leads out, by whatever way.

        Raises:
            ArchiveError: One does, or there is no file or link in the tree.
        """
        if not self.files:
            raise refusal("holds no file", limit="empty")
        self._links.check()
        return self._links.made()

    def _add_root(self, entry: Entry) -> Place:
        if entry.kind is not Kind.FOLDER:
            raise refusal("names the tree itself, but is no folder", limit="name", entry=entry.name)
        if self._rooted:
            raise refusal("comes twice", limit="duplicate", entry=entry.name)
        self._rooted = True
        return Place("")

    def _add_folder(self, path: str, entry: Entry, folders: list[str]) -> list[str]:
        there = self._nodes.get(fold(path))
        if there is not None and there.implied and there.path == path:
            self._nodes[fold(path)] = there._replace(implied=False)
            return folders
        self._insert(_Node(path, Kind.FOLDER), entry)
        return [*folders, path]

    def _add_link(self, path: str, entry: Entry) -> str:
        self.files += 1
        if entry.kind is Kind.FILE:
            return ""
        check_text(entry.target, entry, self._limits)
        if entry.kind is Kind.HARD_LINK:
            return self._linked_file(entry)
        self._remember(entry, entry.name, path, entry.target, entry.target)  # its end, at last
        self._links.add(Link(entry.name, path, entry.target))
        return ""

    def _linked_file(self, entry: Entry) -> str:
        """Return the path of the file that a hard link names: one that came before it, and no link itself."""
        try:
            path = path_of(Entry(name=entry.target, kind=Kind.FILE), self._limits)
        except ArchiveError as error:
            raise _no_such_file(entry) from error
        node = self._nodes.get(fold(path))
        if node is None or node.path != path or node.kind not in {Kind.FILE, Kind.HARD_LINK}:
            raise _no_such_file(entry)
        return path

    def _imply(self, parent: str, entry: Entry) -> list[str]:
        made = []
        parts = parent.split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path in self._folders:
                continue
            self._insert(_Node(path, Kind.FOLDER, implied=True), entry)
            made.append(path)
        return made

    def _insert(self, node: _Node, entry: Entry) -> None:
        key = fold(node.path)
        if key == node.path:
            key = node.path  # one text in memory, not two
        if (there := self._nodes.get(key)) is not None:
            raise _conflict(entry, node.path, there)
        if len(self._nodes) >= self._limits.entries:
            reason = f"is one too many; {self._limits.entries} files, folders and links are allowed"
            raise refusal(reason, limit=f"entries={self._limits.entries}", entry=entry.name)
        self._remember(entry, *{key, node.path})
        self._nodes[key] = node
        if node.kind is Kind.FOLDER:
            self._folders.add(node.path)

    def _remember(self, entry: Entry, *texts: str) -> None:
        self._memory += sum(map(sys.getsizeof, texts))
        if self._memory > MAX_NAMES:
            reason = f"is one too many: all names together take more than {MAX_NAMES // MIB} MiB"
            raise refusal(reason, limit="names", entry=entry.name)


def _check_kind(entry: Entry) -> None:
    if entry.kind is Kind.SPECIAL:
        raise refusal("is a device, a pipe or a socket", limit="device", entry=entry.name)
    if entry.kind in {Kind.FILE, Kind.HARD_LINK} and entry.mode & (stat.S_ISUID | stat.S_ISGID):
        raise refusal("has a set-uid or set-gid bit", limit="setuid", entry=entry.name, hint="chmod a-s it first.")


def _no_such_file(entry: Entry) -> ArchiveError:
    reason = f"is a hard link to {shown(entry.target)}, which is no file that came before it"
    return refusal(reason, limit="link_escape", entry=entry.name)


def _conflict(entry: Entry, path: str, there: _Node) -> ArchiveError:
    if there.path != path:
        reason = f"differs from {shown(there.path)} only in case or Unicode form"
        return refusal(reason, limit="case_fold_duplicate", entry=entry.name)
    if there.kind is Kind.SYMLINK:
        reason = f"lies at or below the link {shown(there.path)}"
        return refusal(reason, limit="link_escape", entry=entry.name)
    reason = f"comes twice, or needs {shown(there.path)} to be a file and a folder"
    return refusal(reason, limit="duplicate", entry=entry.name)
