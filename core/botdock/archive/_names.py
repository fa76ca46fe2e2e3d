"""Which names an entry may have."""

from __future__ import annotations

import re
import unicodedata

from botdock.archive._entry import Entry, Kind
from botdock.archive._limits import ArchiveLimits
from botdock.archive._refusal import refusal
from botdock.model.storage import MAX_SEGMENT_BYTES

_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
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
    if any(size_of(part) > MAX_SEGMENT_BYTES for part in parts):
        raise refusal(
            f"has a segment of more than {MAX_SEGMENT_BYTES} bytes", limit=f"name_bytes={MAX_SEGMENT_BYTES}", entry=name
        )
    if len(parts) - (entry.kind is not Kind.FOLDER) > limits.depth:
        raise refusal(f"lies deeper than {limits.depth} folders", limit=f"depth={limits.depth}", entry=name)
    return "/".join(parts)


def check_text(text: str, entry: Entry, limits: ArchiveLimits) -> None:
    """Refuse a name, or a link's target, that is empty, unprintable, too long, or means something else elsewhere."""
    if problem := _text_problem(text):
        raise refusal(problem, limit="name", entry=entry.name)
    if size_of(text) > limits.name_bytes:
        reason = f"has a name or a target of {size_of(text)} bytes; {limits.name_bytes} are allowed"
        raise refusal(reason, limit=f"name_bytes={limits.name_bytes}", entry=entry.name)


def _text_problem(text: str) -> str | None:
    if not text:
        return "has an empty name or target"
    if _UNUSABLE.search(text):
        return "holds a control character, a backslash, or bytes that are not UTF-8"
    if _DRIVE.match(text):
        return "begins with a drive letter"
    return None


def size_of(text: str) -> int:
    """Return the bytes that `text` takes on disk."""
    return len(text) if text.isascii() else len(text.encode())


def fold(path: str) -> str:
    """Return what two paths share that some file system takes for one: case and Unicode form do not count."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
