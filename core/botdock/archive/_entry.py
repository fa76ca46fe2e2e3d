"""What every archive and every folder is read as, which names there may be, and how something is refused."""

from __future__ import annotations

import errno
import re
import stat
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import attrs

from botdock.archive._limits import ArchiveLimits
from botdock.errors import ArchiveError, StorageError
from botdock.model.storage import MAX_SEGMENT_BYTES

CHUNK = 256 * 1024
"""Bytes read at a time: larger pieces are read no faster, and memory stays small."""

PREFIX, SUFFIX = ".botdock-", ".partial"
"""Of the hidden name that everything unfinished has; only a process that was killed leaves one behind."""

FOLDER_MODE = 0o755
FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755

_SHOWN = 120
"""Characters of an entry's name that a message repeats."""
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_NOT_TEXT = re.compile(r"[\ud800-\udfff]")
"""What stands for bytes that are not UTF-8."""
_DRIVE = re.compile(r"[A-Za-z]:")
_FULL = {errno.ENOSPC, errno.EDQUOT}


class EntryKind(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    HARD_LINK = "hard link"
    SPECIAL = "device, pipe or socket"


_KINDS = {
    0: EntryKind.FILE,
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.FOLDER,
    stat.S_IFLNK: EntryKind.SYMLINK,
}


@attrs.frozen(kw_only=True)
class Entry:
    """One entry, as it stands in the archive; nothing in it is to be believed yet.

    Attributes:
        name: The name; bytes that are not UTF-8 are lone surrogates in it.
        kind: What it is.
        mode: Permission bits, set-uid and its like included.
        size: Bytes of content that it declares; whatever there is, no more come.
        target: What a link points to.
    """

    name: str
    kind: EntryKind
    mode: int = 0o644
    size: int = 0
    target: str = ""

    @property
    def plain_mode(self) -> int:
        """The mode that it gets: of all the bits a file has, only whether any user may execute it is kept."""
        if self.kind is EntryKind.FOLDER:
            return FOLDER_MODE
        return EXECUTABLE_MODE if self.mode & 0o111 else FILE_MODE


Chunks: TypeAlias = "Iterable[bytes | memoryview]"
"""The content of a file, in pieces that are valid until the next is asked for."""
Items: TypeAlias = "Generator[tuple[Entry, Chunks], None, None]"
"""Entries with their content, which must be read before the next entry is asked for."""
OnProgress: TypeAlias = Callable[[int, int], None]
"""Is told the bytes unpacked so far, and the bytes of the packed archive or 0; about once a MiB."""


def kind_of(mode: int) -> EntryKind:
    """Return what the file-type bits of a Unix mode say; none at all means a file."""
    return _KINDS.get(stat.S_IFMT(mode), EntryKind.SPECIAL)


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


def refusal(reason: str, *, limit: str, entry: str | None = None, hint: str | None = None) -> ArchiveError:
    """Return the error for an entry, or for the whole archive; `guard` adds which archive it was."""
    message = reason if entry is None else f"entry {shown(entry)} {reason}"
    return ArchiveError(message, entry=entry, limit=limit, hint=hint)


def shown(name: str) -> str:
    """Return `name` for a message: quoted, escaped, and not longer than a line."""
    return repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}... ({len(name)} characters)"


class ReaderFailedError(Exception):
    """Carries an error of the caller's own reader past everything that would take it for one of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def guard(name: str, place: Path) -> Iterator[None]:
    """Name the archive in each refusal, and turn what the disk says into a `StorageError`.

    Args:
        name: The archive or the folder that is read.
        place: Where is written.
    """
    try:
        yield
    except ReaderFailedError as failed:
        raise failed.error from failed.error.__cause__
    except ArchiveError as error:
        message = f"{name}: {error.message}"
        raise ArchiveError(message, entry=error.entry, limit=error.limit, hint=error.hint) from error
    except OSError as error:
        hint = f"Free space on the disk of {place.parent}, or use another folder." if error.errno in _FULL else None
        message = f"cannot write {place}: {error.strerror or error}"
        raise StorageError(message, backend=str(place.parent), hint=hint) from error
