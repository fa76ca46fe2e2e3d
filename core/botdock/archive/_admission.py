"""The one gate that every entry passes: out of an archive, out of a folder, or into an archive."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import NamedTuple

import attrs

from botdock.archive._entry import (
    Chunks,
    Entry,
    EntryKind,
    Items,
    OnProgress,
    check_text,
    fold,
    path_of,
    refusal,
    shown,
)
from botdock.archive._limits import ArchiveLimits
from botdock.archive._links import Link, Links
from botdock.errors import ArchiveError
from botdock.model.limits import MIB

RATIO_FROM = 1 * MIB
"""Bytes that must have come out before the ratio counts: tiny archives of repeated text exceed any ratio."""
MAX_NAMES = 24 * MIB
"""Memory for the names and targets of all entries together: they are kept until the last one is unpacked."""
_REPORT_EVERY = 1 * MIB


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


class Admitted(NamedTuple):
    """An entry that broke no rule so far, where it goes, and its content, counted as it is read."""

    entry: Entry
    place: Place
    content: Chunks


class _Node(NamedTuple):
    path: str
    kind: EntryKind


@attrs.define(eq=False)
class Admission:
    """The entries of one tree as they come, the rules between them, and how much has come out.

    No entry may lie below a link, so the folder that an entry goes into is always a real one. Set-uid and set-gid are
    refused on a file, where they would lend another user's rights; on folders they, and the sticky bit, are dropped.

    Args:
        limits: The bounds.
        packed: Returns the packed bytes that the unpacked ones are compared with; None where nothing is packed.
        packed_total: What progress is told.
        progress: Told the bytes of files so far, about once a MiB and at the end.

    Attributes:
        nodes: Files, folders and links so far, by their folded paths.
        bytes: Bytes of files so far.
    """

    _limits: ArchiveLimits
    _packed: Callable[[], int] | None = attrs.field(default=None, kw_only=True)
    _packed_total: int = attrs.field(default=0, kw_only=True)
    _progress: OnProgress | None = attrs.field(default=None, kw_only=True)
    nodes: dict[str, _Node] = attrs.field(factory=dict, init=False)
    bytes: int = attrs.field(default=0, init=False)
    _folders: set[str] = attrs.field(factory=set, init=False)
    _links: dict[str, Link] = attrs.field(factory=dict, init=False)
    _holds_file: bool = attrs.field(default=False, init=False)
    _memory: int = attrs.field(default=0, init=False)
    _beside: int = attrs.field(default=0, init=False)

    def admit(self, items: Items) -> Generator[Admitted, None, None]:
        """Yield each entry once it is checked; the content of each must be read before the next.

        To be closed when something fails in between: it holds open what is being read.

        Raises:
            ArchiveError: An entry breaks a rule or exceeds a limit. Links are judged at the end, by `finish`.
        """
        with closing(items):
            for entry, content in items:
                place = self.add(entry)
                if entry.size > self._limits.file_bytes:
                    raise _over("file_bytes", self._limits.file_bytes, entry.name)
                if self.bytes + entry.size > self._limits.total_bytes:
                    raise _over("total_bytes", self._limits.total_bytes, entry.name)
                if entry.target:
                    self.beside(len(entry.target), entry.name)
                yield Admitted(entry, place, self._counted(entry, content))

    def add(self, entry: Entry) -> Place:
        """Take up an entry, and say where it goes.

        Raises:
            ArchiveError: It breaks a rule by itself, or together with what came before it.
        """
        path = path_of(entry, self._limits)
        if entry.kind is EntryKind.SPECIAL:
            raise refusal("is a device, a pipe or a socket", limit="device", entry=entry.name)
        if entry.kind in {EntryKind.FILE, EntryKind.HARD_LINK} and entry.mode & (stat.S_ISUID | stat.S_ISGID):
            raise refusal("has a set-uid or set-gid bit", limit="setuid", entry=entry.name, hint="chmod a-s it first.")
        if not path and entry.kind is not EntryKind.FOLDER:
            raise refusal("names the tree itself, but is not a folder", limit="name", entry=entry.name)
        parent = path.rpartition("/")[0]
        folders = [] if not parent or parent in self._folders else self._imply(parent, entry)
        if entry.kind is EntryKind.FILE:
            self._insert(_Node(path, entry.kind), entry)
            return Place(path, folders)
        if entry.kind is EntryKind.FOLDER:
            return Place(path, self._add_folder(path, entry, folders))
        return self._add_link(path, entry, folders)

    def beside(self, count: int, name: str | None = None) -> None:
        """Count bytes that came out but belong to no file: they have a total of their own, and add to the ratio."""
        self._beside += count
        if self._beside > max(self._limits.total_bytes, RATIO_FROM):
            raise _over("total_bytes", self._limits.total_bytes, name)
        if self._packed is not None:
            self.compare(self._packed(), name)

    def compare(self, packed: int, name: str | None) -> None:
        """Refuse what has come out so far, of which an entry came last, as too much for `packed` bytes."""
        out = self.bytes + self._beside
        if out > RATIO_FROM and out > self._limits.ratio * packed:
            raise _over("ratio", self._limits.ratio, name)

    def finish(self) -> list[Link]:
        """Return the symbolic links, once it is sure that none leads out, by whatever way.

        Raises:
            ArchiveError: One does, or the tree holds neither file nor link.
        """
        if not self._holds_file:
            raise refusal("holds no file", limit="empty")
        if self._links:
            Links(self._links, self._limits).check()
        if self._progress is not None:
            self._progress(self.bytes, self._packed_total)
        return list(self._links.values())

    def _counted(self, entry: Entry, content: Chunks) -> Chunks:
        """Yield the content of an entry, counted before it is written; what it declares was within the limits."""
        for chunk in content:
            before, self.bytes = self.bytes, self.bytes + len(chunk)
            if self._packed is not None:
                self.compare(self._packed(), entry.name)
            if self._progress is not None and before // _REPORT_EVERY != self.bytes // _REPORT_EVERY:
                self._progress(self.bytes, self._packed_total)
            yield chunk

    def _add_folder(self, path: str, entry: Entry, folders: list[str]) -> list[str]:
        there = self.nodes.get(fold(path))
        if not path or (there is not None and there.kind is EntryKind.FOLDER and there.path == path):
            return folders  # the tree itself; or it was made for what lies in it, or is listed twice
        self._insert(_Node(path, EntryKind.FOLDER), entry)
        return [*folders, path]

    def _add_link(self, path: str, entry: Entry, folders: list[str]) -> Place:
        """Take up a hard link to a file that came before; or a symbolic link, to be judged at the end."""
        if entry.kind is EntryKind.HARD_LINK:
            target = self._linked_file(entry)
            if target != path:  # tar writes a file so that is named to it twice
                self._insert(_Node(path, entry.kind), entry)
            return Place(path, folders, target)
        check_text(entry.target, entry, self._limits)
        kept = (entry.name, path, entry.target, entry.target)  # the last for its end, which `Links` finds
        self._insert(_Node(path, entry.kind), entry, *kept)
        self._links[fold(path)] = Link(entry.name, path, entry.target)
        return Place(path, folders)

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

    def _insert(self, node: _Node, entry: Entry, *kept: str) -> None:
        """Keep a node, and count the memory of its names and of what else is kept of it."""
        key = fold(node.path)
        if key == node.path:
            key = node.path  # one text in memory, not two
        if (there := self.nodes.get(key)) is not None:
            raise _conflict(entry, node.path, there)
        if len(self.nodes) >= self._limits.entries:
            reason = f"is one too many; {self._limits.entries} files, folders and links are allowed"
            raise refusal(reason, limit=f"entries={self._limits.entries}", entry=entry.name)
        self._memory += sum(map(sys.getsizeof, [*{key, node.path}, *kept]))
        if self._memory > MAX_NAMES:
            reason = f"is one too many: all names together take more than {MAX_NAMES // MIB} MiB"
            raise refusal(reason, limit="names", entry=entry.name)
        self.nodes[key] = node
        if node.kind is EntryKind.FOLDER:
            self._folders.add(node.path)
        else:
            self._holds_file = True


def _over(name: str, bound: int, entry: str | None) -> ArchiveError:
    what = f"brings the unpacked size over {name} = {bound} bytes"
    if name == "ratio":
        what = f"unpacks to more than {bound} times its packed size"
    hint = f"An operator can raise `code.{name}` in botdock.toml."
    return refusal(what, limit=f"{name}={bound}", entry=entry, hint=hint)


def _conflict(entry: Entry, path: str, there: _Node) -> ArchiveError:
    if there.path != path:
        reason = f"differs from {shown(there.path)} only in case or Unicode form"
        return refusal(reason, limit="case_fold_duplicate", entry=entry.name)
    if there.kind is EntryKind.SYMLINK:
        reason = f"lies at or below the link {shown(there.path)}"
        return refusal(reason, limit="link_escape", entry=entry.name)
    reason = f"comes twice, or needs {shown(there.path)} to be a file and a folder"
    return refusal(reason, limit="duplicate", entry=entry.name)
