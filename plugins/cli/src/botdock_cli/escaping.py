"""What a bot wrote, made harmless for a terminal: it can neither move the cursor nor fake what is above it."""

from __future__ import annotations

import re

from botdock_cli.report import printable

_ONE = r"(?:0?[0-4]|[79]|2[2-57-9]|3[0-79]|4[0-79]|9[0-7]|10[0-7]|[34]8;5;\d{1,3}|[34]8;2;\d{1,3};\d{1,3};\d{1,3})"
_COLOUR = re.compile(rf"(\x1b\[(?:{_ONE}(?:;{_ONE})*)?m)", re.ASCII)
"""The sequences (SGR of ECMA-48) that change colour and weight; not those that hide a text or let it blink."""
_RESET = "\x1b[0m"


def for_terminal(data: bytes, *, colour: bool) -> str:
    r"""Return a line, or a piece of one, as a terminal may show it: what it would obey is written as an escape.

    Bytes that are not UTF-8 appear as `\xff`. With `colour`, colours stay, and end with the line.

    Example:
        >>> for_terminal(b"50%\r\x1b[2J\xff done", colour=False)
        '50%\\r\\x1b[2J\\xff done'
    """
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    pieces = _COLOUR.split(text) if colour else [text]
    shown = "".join(piece if number % 2 else _plain(piece) for number, piece in enumerate(pieces))
    return shown + _RESET if len(pieces) > 1 else shown


def _plain(text: str) -> str:
    return printable(text, keep="\t\n")
