"""What every kind of archive, and a folder, is read as."""

from __future__ import annotations

import stat
from collections.abc import Callable, Generator, Iterable
from enum import Enum
from typing import TypeAlias

import attrs

Chunks: TypeAlias = "Iterable[bytes | memoryview]"
"""The content of a file, in pieces that are valid until the next is asked for."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Is told the bytes unpacked so far, and the bytes of the packed archive or 0; about once a MiB."""


PREFIX, SUFFIX = ".botdock-", ".partial"
"""Of the hidden name that everything unfinished has; only a process that was killed leaves one behind."""

FOLDER_MODE = 0o755
FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    HARD_LINK = "hard link"
    SPECIAL = "device, pipe or socket"


@attrs.frozen(kw_only=True)
class Entry:
    """One entry, as it stands in the archive; nothing in it is to be believed yet.

    Attributes:
        name: The name; bytes that are no UTF-8 are lone surrogates in it.
        kind: What it is.
        mode: Permission bits, set-uid and its like included.
        size: Bytes of content that it declares.
        target: What a link points to.
    """

    name: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    target: str = ""

    @property
    def plain_mode(self) -> int:
        """The mode that it gets: of all the bits a file has, only whether anybody may execute it is kept."""
        if self.kind is Kind.FOLDER:
            return FOLDER_MODE
        return EXECUTABLE_MODE if self.mode & 0o111 else FILE_MODE


Item: TypeAlias = "tuple[Entry, Chunks]"
Items: TypeAlias = "Generator[Item, None, None]"
"""Entries with their content, which must be read before the next entry is asked for."""


def kind_of(mode: int) -> Kind:
    """Return what the file-type bits of a Unix mode say; none at all means a file."""
    return _KINDS.get(stat.S_IFMT(mode), Kind.SPECIAL)


_KINDS = {0: Kind.FILE, stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.FOLDER, stat.S_IFLNK: Kind.SYMLINK}
