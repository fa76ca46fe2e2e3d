"""The one gate that every entry passes: out of an archive, out of a folder, or into an archive."""

from __future__ import annotations

import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import attrs

from botdock.archive._entry import Chunks, Entry, EntryKind, Items, refusal, shown
from botdock.archive._limits import MAX_NAMES, ArchiveLimits, Budget
from botdock.archive._names import Link, Links, check_text, fold, path_of
from botdock.errors import ArchiveError
from botdock.model.limits import MIB


class Location(NamedTuple):
    """Where an entry goes.

    Attributes:
        path: Below the tree; empty for the tree itself.
        folders: Folders to make first, outermost first.
        target: For a hard link, the path of the file that it names.
    """

    path: str
    folders: Sequence[str] = ()
    target: str = ""


class Admitted(NamedTuple):
    """An entry that broke no rule so far, where it goes, and its content, counted as it is read."""

    entry: Entry
    location: Location
    content: Iterator[bytes | memoryview]


class _Node(NamedTuple):
    path: str
    kind: EntryKind


def admit(items: Items, tree: Tree, budget: Budget) -> Generator[Admitted, None, None]:
    """Yield each entry once it is checked; the content of each must be read before the next.

    To be closed when something fails in between: it holds open what is being read.

    Raises:
        ArchiveError: An entry breaks a rule or exceeds a limit. Links are judged at the end, by `tree.finish`.
    """
    with closing(items):
        for entry, content in items:
            location = tree.add(entry)
            budget.begin(entry)
            yield Admitted(entry, location, _counted(content, budget))


def _counted(content: Chunks, budget: Budget) -> Iterator[bytes | memoryview]:
    for chunk in content:
        budget.spend(len(chunk))
        yield chunk


@attrs.define(eq=False)
class Tree:
    """The entries seen so far, and the rules between them.

    No entry may lie below a link, so the folder that an entry goes into is always a real one. Set-uid and set-gid are
    refused on a file, where they would lend another user's rights; on folders they, and the sticky bit, are dropped.

    Attributes:
        nodes: Files, folders and links so far, by their folded paths.
    """

    _limits: ArchiveLimits
    nodes: dict[str, _Node] = attrs.field(factory=dict, init=False)
    _folders: set[str] = attrs.field(factory=lambda: {""}, init=False)
    _links: dict[str, Link] = attrs.field(factory=dict, init=False)
    _holds_file: bool = attrs.field(default=False, init=False)
    _memory: int = attrs.field(default=0, init=False)

    def add(self, entry: Entry) -> Location:
        """Take up an entry, and say where it goes.

        Raises:
            ArchiveError: It breaks a rule by itself, or together with what came before it.
        """
        path = path_of(entry, self._limits)
        if entry.kind is EntryKind.SPECIAL:
            raise refusal("is a device, a pipe or a socket", limit="device", entry=entry.name)
        if entry.kind in {EntryKind.FILE, EntryKind.HARD_LINK} and entry.mode & (stat.S_ISUID | stat.S_ISGID):
            raise refusal("has a set-uid or set-gid bit", limit="setuid", entry=entry.name, hint="chmod a-s it first.")
        if not path:
            return self._add_root(entry)
        parent = path.rpartition("/")[0]
        folders = [] if parent in self._folders else self._imply(parent, entry)
        if entry.kind is EntryKind.FOLDER:
            return Location(path, self._add_folder(path, entry, folders))
        self._holds_file = True
        if entry.kind is EntryKind.HARD_LINK and self._linked_file(entry) == path:
            return Location(path, (), path)  # tar writes a file so that is named to it twice
        target = "" if entry.kind is EntryKind.FILE else self._add_link(path, entry)
        self._insert(_Node(path, entry.kind), entry)
        return Location(path, folders, target)

    def finish(self) -> list[Link]:
        """Return the symbolic links, once it is sure that none leads out, by whatever way.

        Raises:
            ArchiveError: One does, or the tree holds neither file nor link.
        """
        if not self._holds_file:
            raise refusal("holds no file", limit="empty")
        if self._links:
            Links(self._links, self._limits).check()
        return list(self._links.values())

    def _add_root(self, entry: Entry) -> Location:
        if entry.kind is not EntryKind.FOLDER:
            raise refusal("names the tree itself, but is not a folder", limit="name", entry=entry.name)
        return Location("")

    def _add_folder(self, path: str, entry: Entry, folders: list[str]) -> list[str]:
        there = self.nodes.get(fold(path))
        if there is not None and there.kind is EntryKind.FOLDER and there.path == path:
            return folders  # it was made for what lies in it, or is listed twice
        self._insert(_Node(path, EntryKind.FOLDER), entry)
        return [*folders, path]

    def _add_link(self, path: str, entry: Entry) -> str:
        """Return the path of the file that a hard link names; keep a symbolic link, to be judged at the end."""
        check_text(entry.target, entry, self._limits)
        if entry.kind is EntryKind.HARD_LINK:
            return self._linked_file(entry)
        self._remember(entry, entry.name, path, entry.target, entry.target)  # its end, at last
        self._links[fold(path)] = Link(entry.name, path, entry.target)
        return ""

    def _linked_file(self, entry: Entry) -> str:
        """Return the path of the file that a hard link names: one that came before it, and not a link itself."""
        node = None
        try:
            path = path_of(Entry(name=entry.target, kind=EntryKind.FILE), self._limits)
            node = self.nodes.get(fold(path))
        except ArchiveError:
            path = ""
        if node is None or node.path != path or node.kind not in {EntryKind.FILE, EntryKind.HARD_LINK}:
            reason = f"is a hard link to {shown(entry.target)}, which is not a file that came before it"
            raise refusal(reason, limit="link_escape", entry=entry.name)
        return path

    def _imply(self, parent: str, entry: Entry) -> list[str]:
        made = []
        parts = parent.split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path not in self._folders:
                self._insert(_Node(path, EntryKind.FOLDER), entry)
                made.append(path)
        return made

    def _insert(self, node: _Node, entry: Entry) -> None:
        key = fold(node.path)
        if key == node.path:
            key = node.path  # one text in memory, not two
        if (there := self.nodes.get(key)) is not None:
            raise _conflict(entry, node.path, there)
        if len(self.nodes) >= self._limits.entries:
            reason = f"is one too many; {self._limits.entries} files, folders and links are allowed"
            raise refusal(reason, limit=f"entries={self._limits.entries}", entry=entry.name)
        self._remember(entry, *{key, node.path})
        self.nodes[key] = node
        if node.kind is EntryKind.FOLDER:
            self._folders.add(node.path)

    def _remember(self, entry: Entry, *texts: str) -> None:
        self._memory += sum(map(sys.getsizeof, texts))
        if self._memory > MAX_NAMES:
            reason = f"is one too many: all names together take more than {MAX_NAMES // MIB} MiB"
            raise refusal(reason, limit="names", entry=entry.name)


def _conflict(entry: Entry, path: str, there: _Node) -> ArchiveError:
    if there.path != path:
        reason = f"differs from {shown(there.path)} only in case or Unicode form"
        return refusal(reason, limit="case_fold_duplicate", entry=entry.name)
    if there.kind is EntryKind.SYMLINK:
        reason = f"lies at or below the link {shown(there.path)}"
        return refusal(reason, limit="link_escape", entry=entry.name)
    reason = f"comes twice, or needs {shown(there.path)} to be a file and a folder"
    return refusal(reason, limit="duplicate", entry=entry.name)
