"""How help is laid out: as click does it, but that no word is cut, and that examples fit too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from botdock_cli.layout import wrapped

_COLUMNS = re.compile(r"( *)(\S.*?)( {2,})(\S.*)")
"""An example and, behind two blanks or more, what it does."""
_LEAST = 20
_AS_IT_STANDS = "\b"
"""What click's paragraphs begin with that keep their lines."""


class _Formatter(click.HelpFormatter):
    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the first line, as far below as it needs."""
        first = f"{prefix or 'Usage: '}{prog} "
        self.write("\n".join(wrapped(args, self.width, first=first, rest=" " * len(first))).rstrip() + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs; of one that keeps its lines, those that are too long go on below themselves."""
        indent = " " * self.current_indent
        written = ["\n".join(self._paragraph(one, indent)) for one in re.split(r"\n\s*\n", text.strip("\n"))]
        self.write("\n\n".join(written) + "\n")

    def _paragraph(self, text: str, indent: str) -> Iterator[str]:
        first, *lines = text.split("\n")
        if first.strip() != _AS_IT_STANDS:
            yield from wrapped(" ".join(text.split()), self.width, first=indent, rest=indent)
            return
        for line in lines:
            yield from self._line(indent + line)

    def _line(self, line: str) -> Iterator[str]:
        found = _COLUMNS.fullmatch(line)
        if len(line) <= self.width:
            yield line.rstrip()
        elif found is None:
            indent = line[: len(line) - len(line.lstrip())]
            yield from wrapped(line.strip(), self.width, first=indent, rest=f"{indent}  ")
        elif (beside := found.start(4)) + _LEAST <= self.width:
            yield from wrapped(found[4], self.width, first=line[:beside], rest=" " * beside)
        else:
            below = f"{found[1]}    "
            yield from wrapped(found[2], self.width, first=found[1], rest=f"{found[1]}  ")
            yield from wrapped(found[4], self.width, first=below, rest=below)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write what click shows of options and verbs: a term, and beside it what it means."""
        rows, indent = list(rows), " " * self.current_indent
        beside = min(max((len(term) for term, _ in rows), default=0), col_max) + col_spacing
        for term, meaning in rows:
            lead = indent + " " * beside
            first = indent + term.ljust(beside) if len(term) <= beside - col_spacing else lead
            lines = [indent + term] if first == lead else []
            lines += wrapped(" ".join(meaning.split()), self.width, first=first, rest=lead)
            self.write("".join(f"{line.rstrip()}\n" for line in lines if line.strip()))


class HelpContext(click.Context):
    """What each command is called with: its help is laid out so."""

    formatter_class = _Formatter


def shown_once(
    text: Callable[[click.Context, Any], str | None],
) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return the callback of an option that shows a text in place of what the command does."""

    def show(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value and not context.resilient_parsing:
            from botdock_cli.output import print_whole

            context.exit(print_whole(f"{text(context, value)}\n"))

    return show


HELP_OPTION = click.Option(
    ["-h", "--help"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=shown_once(lambda context, _: context.get_help()),
    help="Show this message and exit.",
)
"""In place of click's own, which does not say what it was that could not be written."""
