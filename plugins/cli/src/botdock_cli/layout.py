"""Texts and tables in the columns of a terminal: no word is cut, and what does not fit goes on below."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

_NARROWEST = 20
_LEAST = 28
"""Columns that the last cell of a row gets beside the others; with fewer, it stands below them."""
_BELOW = " " * 4
_WORD = re.compile(r"[^\s`]*`[^`\n]+`[^\s`]*|\S+")
"""A word, or a command between backticks, which is kept on one line."""
_PIECE = re.compile(r"[^/,;:=.@|_-]*[/,;:=.@|_-]+|[^/,;:=.@|_-]+")
"""What a path, a digest or another long word may be folded behind."""


def columns_of(stream: TextIO | None) -> int | None:
    """Return how wide `stream` is: `COLUMNS`, else its terminal; None for a file or a pipe, which has no bound."""
    if (told := os.environ.get("COLUMNS", "")).isdecimal() and int(told):
        return max(int(told), _NARROWEST)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, _NARROWEST) if stream else None
    except (OSError, ValueError, AttributeError):  # not a terminal, closed, or without a descriptor
        return None


def wrapped(text: str, width: int | None, *, first: str = "", rest: str = "") -> list[str]:
    """Return `text` in lines of at most `width` columns.

    They are broken at blanks, and within a word that is longer behind its separators. One without separators that is
    still too long stands alone, whole.

    Args:
        text: One paragraph.
        width: None for no bound.
        first: What the first line begins with.
        rest: What the others begin with.

    Example:
        >>> wrapped("no engine at unix:///var/run/docker.sock", 24, rest="  ")
        ['no engine at unix:///', '  var/run/docker.sock']
    """
    if width is None or len(first + text) <= width:
        return [first + text]
    lines, line, is_bare = [], first, True
    for glue, piece in _pieces(text, width - len(rest)):
        if not is_bare and len(line) + len(glue) + len(piece) > width:
            lines.append(line)
            line, is_bare = rest, True
        line += piece if is_bare else glue + piece
        is_bare = False
    return [*lines, line]


def _pieces(text: str, room: int) -> Iterator[tuple[str, str]]:
    """Yield what may not be broken in `room` columns, each with what stands before it on the same line."""
    for found in _WORD.findall(text):
        for word in [found] if len(found) <= room else found.split():
            glue = " "
            for piece in [word] if len(word) <= room else _PIECE.findall(word):
                yield glue, piece
                glue = ""


def table(rows: Sequence[Sequence[str]], width: int | None, *, gap: str = "  ") -> list[list[str]]:
    """Return the lines of each row: one, its cells in columns, or several, where one does not fit into `width`.

    The last column is as long as it likes, and goes on below itself. Columns that have no place beside the others
    stand below them, for each row alike.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    whole = [_joined(row, widths, gap) for row in rows]
    if width is None or max(map(len, whole)) <= width:
        return [[line] for line in whole]
    bands = _bands([*widths[:-1], min(widths[-1], _LEAST)], width, gap)
    return [list(_folded(row, widths, bands, width, gap)) for row in rows]


def _joined(cells: Sequence[str], widths: Sequence[int], gap: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False)]
    return gap.join([*padded, cells[-1]]).rstrip()


def _bands(widths: Sequence[int], width: int, gap: str) -> list[slice]:
    """Return which columns stand side by side."""
    bands, start, taken = [], 0, 0
    for number, one in enumerate(widths):
        if number > start and taken + one > width:
            bands.append(slice(start, number))
            start, taken = number, len(_BELOW)
        taken += one + len(gap)
    return [*bands, slice(start, len(widths))]


def _folded(row: Sequence[str], widths: Sequence[int], bands: Sequence[slice], width: int, gap: str) -> Iterator[str]:
    for band in bands:
        indent = _BELOW if band.start else ""
        *cells, last = row[band]
        beside = indent + "".join(cell.ljust(one) + gap for cell, one in zip(cells, widths[band], strict=False))
        lines = wrapped(last, width, first=beside, rest=" " * len(beside))
        if max(map(len, lines)) > width and cells:  # a word that is too long for the rest of the line
            lines = [beside, *wrapped(last, width, first=_BELOW * 2, rest=_BELOW * 2)]
        yield from (line.rstrip() for line in lines if line.strip())
