"""Writing to stdout: documents, listings, and the bot's own bytes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from botdock_cli.layout import columns_of, table, wrapped
from botdock_cli.report import EXIT_BROKEN_PIPE, PrintedError, error_document, printable
from botdock_cli.session import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO, TextIO

_COLOUR = re.compile(r"(\x1b\[\d*m)", re.ASCII)
_ONE = r"(?:0?[0-4]|[79]|2[2-57-9]|3[0-79]|4[0-79]|9[0-7]|10[0-7]|[34]8;5;\d{1,3}|[34]8;2;\d{1,3};\d{1,3};\d{1,3})"
_SAFE_COLOUR = re.compile(rf"(\x1b\[(?:{_ONE}(?:;{_ONE})*)?m)", re.ASCII)
"""The sequences (SGR of ECMA-48) that change colour and weight; not those that hide a text or let it blink."""
_RESET = "\x1b[0m"


def print_text(lines: Iterable[str], *, colour: bool = False, folds: bool = True) -> int:
    """Print lines on stdout, and return what to exit with: 141 when its reader went away.

    What a terminal would obey is shown as an escape; with `colour`, colours stay.

    Args:
        lines: Without their ends.
        colour: Whether colours are obeyed.
        folds: Whether one that is wider than the terminal goes on below, as text does.
    """
    width = columns_of(sys.stdout) if folds else None
    return _print(["".join(_lines(_folded(lines, width), colour=colour))])


def print_whole(text: str) -> int:
    """Print a document as it is; return what to exit with."""
    return _print([text])


def stream_text(lines: Iterable[str]) -> int:
    """Print lines as they come, however many; return what to exit with."""
    return _print(_lines(lines))


def _folded(lines: Iterable[str], width: int | None) -> Iterator[str]:
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        if width is None or len(_COLOUR.sub("", line)) <= width:
            yield line
        else:
            yield from wrapped(line.strip(), width, first=indent, rest=f"{indent}    ")


def _lines(lines: Iterable[str], *, colour: bool = False) -> Iterator[str]:
    for line in lines:
        pieces = _COLOUR.split(line) if colour else [line]
        yield "".join(piece if number % 2 else printable(piece, keep="") for number, piece in enumerate(pieces)) + "\n"


def print_json(document: object) -> int:
    """Print one JSON document, or a list of such, on stdout, and return what to exit with.

    Each says which `schema` it has. It is JSON whatever it holds: NaN and infinities become null, and what JSON cannot
    say becomes text.
    """
    return print_value(_with_schema(document))


def print_value(value: object) -> int:
    """Print on stdout, as `print_json` would, what has a form of its own: nothing is added to it."""
    return _print([f"{_json(value)}\n"])


def print_document(document: object) -> None:
    """Print a JSON document on one line, so that it may end a stream of such; that it cannot be written is not told."""
    with contextlib.suppress(OSError):
        _print([json.dumps(_plain(document), allow_nan=False) + "\n"])


def stream_json(documents: Iterable[object]) -> int:
    """Print a JSON list as `print_json` would, but each document as it comes; return what to exit with.

    Raises:
        PrintedError: What is listed failed behind the first document; the error is the last one of the list.
    """
    return _print(_list_pieces(documents))


def _list_pieces(documents: Iterable[object]) -> Iterator[str]:
    before = "["
    try:
        for document in documents:
            yield f"{before}\n{_indented(_with_schema(document))}"
            before = ","
    except Exception as error:
        if before == "[":
            raise
        yield f",\n{_indented(error_document(error))}\n]\n"
        raise PrintedError from error
    yield "[]\n" if before == "[" else "\n]\n"


def _indented(document: object) -> str:
    return textwrap.indent(_json(document), "  ")


def _json(document: object) -> str:
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def _with_schema(document: object) -> object:
    if isinstance(document, list):
        return [_with_schema(one) for one in document]
    return {"schema": 1, **document} if isinstance(document, dict) else document


def _print(pieces: Iterable[str]) -> int:
    def write() -> None:
        for piece in pieces:
            binary_stdout().write(piece.encode("utf-8", "backslashreplace"))
        binary_stdout().flush()

    return to_stdout(write)


def to_stdout(write: Callable[[], object]) -> int:
    """Write to stdout, and return what to exit with: 141 when its reader went away.

    Raises:
        OSError: It takes no more; names stdout where it names no file.
    """
    try:
        write()
    except BrokenPipeError:
        abandon_stdout()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        abandon_stdout()
        raise (error if error.filename else OSError(error.errno, error.strerror, "stdout")) from error
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def binary_stdout() -> BinaryIO:
    """Return stdout as bytes.

    Raises:
        BrokenPipeError: It was closed before we started.
    """
    if sys.stdout is None:
        raise BrokenPipeError
    return sys.stdout.buffer


def abandon_stdout() -> None:
    """Let what is left for stdout go to nowhere, so that Python does not complain of it when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # not a real file: nothing is left to complain of
        return


def wants_colour(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal that may be coloured; see https://no-color.org."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def counted(number: int, what: str) -> str:
    """Return a number of things in words: `1 byte`, `1,024 bytes`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """Return `seconds` for people: `250ms`, `1.5s`, `2h30m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number)


def aligned(rows: Sequence[Sequence[str]], *, gap: str = "  ") -> list[str]:
    """Return each row as a line for stdout, its cells in columns, or as several, where stdout is not so wide."""
    return [line for lines in table(rows, columns_of(sys.stdout), gap=gap) for line in lines]


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
    pieces = _SAFE_COLOUR.split(text) if colour else [text]
    shown = "".join(piece if number % 2 else printable(piece, keep="\t\n") for number, piece in enumerate(pieces))
    return shown + _RESET if len(pieces) > 1 else shown
