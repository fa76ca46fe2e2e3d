"""The lines of a log as they are shown: as text, as JSON, or as nothing but their bytes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Protocol

from botdock.model import GapReason, LogGap, LogLine, Stream
from botdock_cli.moments import NANOSECONDS, format_moment
from botdock_cli.output import for_terminal
from botdock_cli.report import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock_cli.outlet import Outlet

Item = LogLine | LogGap

_REASONS = {
    GapReason.LOST: "rotated away by the engine",
    GapReason.LIMIT: "beyond the output limit",
    GapReason.REMOVED: "removed, since only so much of this log is kept",
}


class Printer(Protocol):
    """Shows the items of a log, in their order."""

    def line(self, line: LogLine) -> None:
        """Show a line, or a piece of one."""
        ...

    def gap(self, gap: LogGap) -> None:
        """Say that bytes are missing here."""
        ...

    def notice(self, text: str) -> None:
        """Say something about the log as a whole."""
        ...

    def end_line(self) -> None:
        """See that what another program writes next does not stand behind the bot's last words."""
        ...


def show(items: Iterable[Item], printer: Printer) -> None:
    """Show the items of a log as they come.

    Raises:
        LogError: The log cannot be read.
        OSError: They cannot be written.
    """
    for item in items:
        if isinstance(item, LogGap):
            printer.gap(item)
        else:
            printer.line(item)


class RawPrinter:
    """Writes the bytes, and nothing else.

    Args:
        outlet: Where to.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def line(self, line: LogLine) -> None:
        """Write the bytes of a line."""
        self._outlet.write(line.stream, line.data + b"\n" if line.complete else line.data)

    def gap(self, gap: LogGap) -> None:
        """Write nothing: a gap has no bytes."""

    def notice(self, text: str) -> None:
        """Write nothing: it is not of the bot's bytes."""

    def end_line(self) -> None:
        """Write nothing: it is not of the bot's bytes."""
        self._outlet.flush()


class JsonPrinter:
    """Writes one JSON object a line to stdout.

    Args:
        outlet: Where to.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._begun: tuple[int, Stream] | None = None
        self._begin = ""

    def line(self, line: LogLine) -> None:
        """Write a line; what is not UTF-8 is there as base64 as well."""
        if self._begun != (line.time_ns, line.stream):  # many lines share the moment of the chunk that brought them
            self._begun = (line.time_ns, line.stream)
            self._begin = json.dumps({"time": _moment(line.time_ns), "stream": line.stream.value}).removesuffix("}")
        text = line.text
        end = ""
        if "\ufffd" in text and not _is_utf8(line.data):
            end = f', "base64": "{base64.b64encode(line.data).decode()}"'
        complete = "true" if line.complete else "false"
        self._write(f'{self._begin}, "text": {json.dumps(text)}, "complete": {complete}{end}}}')

    def gap(self, gap: LogGap) -> None:
        """Write what is missing; `bytes` is null where the number is not known."""
        document = {
            "time": _moment(gap.since_ns or gap.until_ns),
            "stream": gap.stream.value,
            "gap": gap.reason.value,
            "bytes": gap.size,
            "since": _moment(gap.since_ns),
            "until": _moment(gap.until_ns),
        }
        self._write(json.dumps(document))

    def notice(self, text: str) -> None:
        """Say it on stderr, where programs do not look for objects."""
        self.end_line()
        say(text)

    def end_line(self) -> None:
        """Let all be out: each object has a line of its own."""
        self._outlet.flush()

    def _write(self, document: str) -> None:
        self._outlet.write(Stream.STDOUT, document.encode() + b"\n")


class TextPrinter:
    """Writes the lines of stdout to stdout, those of stderr to stderr.

    What is not a terminal gets the bot's exact bytes; a terminal gets them harmless, each line on a line of its own.

    Args:
        outlet: Where to.
        timestamps: Whether each line begins with its time.
    """

    def __init__(self, outlet: Outlet, *, timestamps: bool) -> None:
        self._outlet = outlet
        self._timestamps = timestamps
        self._in_line = dict.fromkeys(Stream, False)
        self._cursor_in: Stream | None = None

    def line(self, line: LogLine) -> None:
        """Write a line, or a piece of one."""
        stream = line.stream
        terminal = self._outlet.terminals[stream]
        if terminal and self._cursor_in not in {None, stream}:
            self._end_line_on_terminal(stream)
        body = self._harmless(line) if terminal else line.data
        if self._timestamps and not self._in_line[stream]:
            body = f"{_moment(line.time_ns) or '-'} ".encode() + body
        self._outlet.write(stream, body + b"\n" if line.complete else body)
        self._in_line[stream] = not (line.complete or line.data.endswith(b"\n"))
        if terminal:
            self._cursor_in = stream if self._in_line[stream] else None

    def gap(self, gap: LogGap) -> None:
        """Say on stderr what is missing, in its place."""
        self.notice(describe(gap))

    def notice(self, text: str) -> None:
        """Say something on a line of its own on stderr."""
        self.end_line()
        say(text)

    def end_line(self) -> None:
        """End the line that stands open where stderr goes."""
        if self._outlet.terminals[Stream.STDERR]:
            if self._cursor_in is not None:
                self._end_line_on_terminal(Stream.STDERR)
        elif self._in_line[Stream.STDERR]:
            self._outlet.write(Stream.STDERR, b"\n")
            self._in_line[Stream.STDERR] = False
        self._outlet.flush()

    def _harmless(self, line: LogLine) -> bytes:
        data = line.data.removesuffix(b"\r") if line.complete else line.data
        return for_terminal(data, colour=self._outlet.colours[line.stream]).encode()

    def _end_line_on_terminal(self, target: Stream) -> None:
        self._outlet.write(target, b"\n")
        if self._cursor_in is not None:
            self._in_line[self._cursor_in] = False
        self._cursor_in = None


def describe(gap: LogGap) -> str:
    """Say in one line what is missing."""
    if gap.size is not None:
        amount = f"{gap.size:,} byte{'' if gap.size == 1 else 's'} of {gap.stream} {'is' if gap.size == 1 else 'are'}"
    else:
        span = (gap.until_ns - gap.since_ns) / NANOSECONDS if gap.since_ns and gap.until_ns > gap.since_ns else 0
        within = f", written within {span:.3g} seconds," if span else ""
        amount = f"an unknown number of bytes of {gap.stream}{within} are"
    return f"{amount} missing here: {_REASONS[gap.reason]}"


def _moment(time_ns: int) -> str | None:
    return format_moment(time_ns) if time_ns else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
