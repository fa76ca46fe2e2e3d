"""Our own stdout and stderr, for the lines of a log: each in its place, also where both end in one terminal or file."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

from botdock.model import Stream
from botdock_cli.output import wants_colour
from botdock_cli.session import is_terminal

if TYPE_CHECKING:
    from typing import BinaryIO, TextIO


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
        target = _binary(stream)
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


def _binary(stream: Stream) -> BinaryIO:
    found = _text(stream)
    if found is None:  # closed by our parent process
        raise BrokenPipeError
    return found.buffer
