"""Our own stdout and stderr for the lines of a log, and how those are shown: as text, as JSON, or as their bytes."""

from __future__ import annotations

import base64
import json
import select
import sys
from typing import TYPE_CHECKING

from botdock.model import GapReason, LogGap, LogLine, Stream
from botdock_cli.output import for_terminal, wants_colour
from botdock_cli.report import say
from botdock_cli.session import is_terminal
from botdock_cli.values import NANOSECONDS, format_moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO, TextIO

_REASONS = {
    GapReason.LOST: "rotated away by the engine",
    GapReason.LIMIT: "beyond the output limit",
    GapReason.REMOVED: "removed, since only so much of this log is kept",
}


class Outlet:
    """Writes bytes to stdout or stderr, in the order in which they are given.

    Args:
        eager: Whether each write is out before the next one begins.
    """

    def __init__(self, *, eager: bool) -> None:
        self._eager = eager
        self._last: BinaryIO | None = None
        self.terminals = {stream: is_terminal(_text(stream)) for stream in Stream}
        self.colours = {stream: shown and wants_colour(_text(stream)) for stream, shown in self.terminals.items()}

    def write(self, stream: Stream, data: bytes) -> None:
        """Write to the one that has the name of the bot's stream.

        Raises:
            BrokenPipeError: Its reader went away, or it was never there.
            OSError: It takes no more.
        """
        if (text := _text(stream)) is None:  # closed by our parent process
            raise BrokenPipeError
        target = text.buffer
        if self._last is not None and self._last is not target:
            self._last.flush()
        self._last = target
        target.write(data)
        if self._eager:
            target.flush()

    def flush(self) -> None:
        """See that all is out.

        Raises:
            OSError: As `write` does.
        """
        if self._last is not None:
            self._last.flush()

    @staticmethod
    def has_reader() -> bool:
        """Whether what goes to stdout may still have a reader; `| head` goes away while nothing is written."""
        try:
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            return not any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
        except (OSError, ValueError, AttributeError):  # not a real file: the next write will tell
            return True


def _text(stream: Stream) -> TextIO | None:
    return sys.stdout if stream is Stream.STDOUT else sys.stderr


class RawPrinter:
    """Writes the bytes, and nothing else.

    Args:
        outlet: Where to.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def show(self, items: Iterable[LogLine | LogGap]) -> None:
        """Show the items of a log as they come, in their order.

        Raises:
            LogError: The log cannot be read.
            OSError: They cannot be written.
        """
        for item in items:
            if isinstance(item, LogGap):
                self.gap(item)
            else:
                self.line(item)

    def line(self, line: LogLine) -> None:
        """Write a line, or a piece of one."""
        self._outlet.write(line.stream, line.data + b"\n" if line.complete else line.data)

    def gap(self, gap: LogGap) -> None:
        """Say that bytes are missing here; they are not of the bot's bytes, so nothing is written."""

    def notice(self, text: str) -> None:
        """Say something about the log as a whole; here, nothing."""

    def end_line(self) -> None:
        """See that what another program writes next does not stand behind the bot's last words."""
        self._outlet.flush()


class JsonPrinter(RawPrinter):
    """Writes one JSON object a line to stdout.

    Args:
        outlet: Where to.
    """

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(outlet)
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

    def _write(self, document: str) -> None:
        self._outlet.write(Stream.STDOUT, document.encode() + b"\n")


class TextPrinter(RawPrinter):
    """Writes the lines of stdout to stdout, those of stderr to stderr.

    What is not a terminal gets the bot's exact bytes; a terminal gets them harmless, each line on a line of its own.

    Args:
        outlet: Where to.
        timestamps: Whether each line begins with its time.
    """

    def __init__(self, outlet: Outlet, *, timestamps: bool) -> None:
        super().__init__(outlet)
        self._timestamps = timestamps
        self._in_line = dict.fromkeys(Stream, False)
        self._cursor_in: Stream | None = None

    def line(self, line: LogLine) -> None:
        """Write a line, or a piece of one."""
        stream = line.stream
        terminal = self._outlet.terminals[stream]
        if terminal and self._cursor_in not in {None, stream}:
            self._end_line_on_terminal(stream)
        body = line.data
        if terminal:
            harmless = body.removesuffix(b"\r") if line.complete else body
            body = for_terminal(harmless, colour=self._outlet.colours[stream]).encode()
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
