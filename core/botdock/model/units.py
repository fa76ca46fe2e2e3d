"""Sizes and durations as people write them: `512MiB`, `1.5GB`, `30s`, `2h30m`."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated

from botdock.model._validation import shown


class Unit(Enum):
    """What a number in a configuration counts."""

    BYTES = "bytes"
    SECONDS = "seconds"


Bytes = Annotated[int, Unit.BYTES]
"""A number of bytes; outside Python it may be written with a unit."""
Seconds = Annotated[float, Unit.SECONDS]
"""A number of seconds; outside Python it may be written with a unit."""

_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?\s*([kmgtKMGT]?)([iI]?)[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_LONGEST = 10**15
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(text: object) -> int:
    """Return the bytes of `512MiB` (powers of 1024), `1.5GB` (powers of 1000), `64k` or a plain number.

    Docker's `64m` means powers of 1024; so a lone letter does here too.

    Raises:
        ValueError: Saying what a size looks like.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    stripped = text.strip() if isinstance(text, str) else ""
    match = _SIZE.fullmatch(stripped)
    if match is None:
        raise ValueError(size_problem(text))
    whole, fraction, letter, binary = match.groups(default="")
    decimal = letter and not binary and stripped[-1] in "bB"
    factor = (1000 if decimal else 1024) ** _POWERS[letter.lower()]
    return int(int(whole + fraction) * factor // 10 ** len(fraction))


def size_problem(text: object) -> str:
    """Say what a size looks like, of what is not one."""
    return f"{shown(text)} is not a size; write bytes, or for example '512MiB' or '1.5GB'"


def parse_seconds(text: object) -> float:
    """Return the seconds of `30s`, `1.5h`, `2h30m`, `250ms` or a plain number.

    Raises:
        ValueError: Saying what a duration looks like.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and abs(text) < _LONGEST:
        return float(text)
    stripped = text.strip() if isinstance(text, str) else ""
    if re.fullmatch(_NUMBER, stripped):
        return float(stripped)
    if not _DURATION.fullmatch(stripped):
        raise ValueError(f"{shown(text)} is not a duration; write seconds, or for example '30s', '2h30m' or '250ms'")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(stripped))


def format_bytes(size: float) -> str:
    """Return `size` for people: `512 MiB`, `1.5 GiB`, `17 B`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:  # noqa: PLR2004 - the step between the units
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
