"""What somebody may have meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST = 64
"""Characters of a name that are compared with others: the time of it grows with their square, and the name may be a
stranger's."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to two of `known` that `name` may have been meant to be, the nearest first."""
    by_fold = {candidate.casefold(): candidate for candidate in known if len(candidate) <= _LONGEST}
    if len(name) > _LONGEST:
        return []
    return [by_fold[fold] for fold in difflib.get_close_matches(name.casefold(), by_fold, n=2, cutoff=0.6)]
