"""Keys for tests of storages: any that is allowed, those that need care, and those that are refused."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from botdock.model.storage import MAX_KEY_BYTES, MAX_SEGMENT_BYTES

AWKWARD_KEYS = (
    "a",
    "A",
    "a/b",
    "a/B",
    "a/b/c",
    "a.b",
    "a!b",
    "ab",
    "a b/ c ",
    ".hidden/.x",
    "...",
    "-rf",
    "~/x",
    "$HOME",
    "%2e%2e/%2F",
    "a?b=c&d#e",
    "*",
    "é",
    "e\u0301",
    "\uff5e",
    "\U0001f600",
    "n" * MAX_SEGMENT_BYTES,
)
"""Keys that differ only in case or in the form of an accent, that nest, that look like patterns, options, addresses."""

REFUSED_KEYS = (
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/.",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "\ud800",
    "x" * (MAX_SEGMENT_BYTES + 1),
    "/".join(["x" * 204] * 6),
)
"""One for each rule of `validate_key`."""

_CHARACTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\")


def storage_keys(*, max_bytes: int = MAX_KEY_BYTES) -> st.SearchStrategy[str]:
    """Return a strategy for every kind of key that `validate_key` lets through, up to `max_bytes` long."""
    segments = st.text(_CHARACTERS, min_size=1, max_size=40).filter(
        lambda text: text not in {".", ".."} and len(text.encode()) <= MAX_SEGMENT_BYTES
    )
    keys = st.lists(segments, min_size=1, max_size=6).map("/".join)
    return keys.filter(lambda key: len(key.encode()) <= max_bytes)


def in_the_way(key: str, there: set[str], *, nests_keys: bool, distinguishes_case: bool) -> bool:
    """Whether a storage that lacks one of these abilities must refuse `key` beside those that are `there`."""
    if not nests_keys and any(other.startswith(f"{key}/") or key.startswith(f"{other}/") for other in there):
        return True
    return not distinguishes_case and any(_clash(key, other) for other in there)


def _clash(key: str, other: str) -> bool:
    """Whether two paths share a name in two spellings, below the same folder."""
    for mine, theirs in zip(key.split("/"), other.split("/"), strict=False):
        if mine != theirs:
            return _folded(mine) == _folded(theirs)
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
