"""The bot's two streams, passed on as they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from botdock.model import Stream
from botdock_cli.output import abandon_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from botdock.model import LogChunk


class Relay:
    """Writes the bot's bytes to our own stdout and stderr, each chunk at once and unchanged.

    Args:
        stdout_to_stderr: Whether stdout is wanted for something else.

    Attributes:
        broken: Whether a reader of ours went away, as `head` does.
        failure: Why else a chunk could not be written (a full disk), or None.
        in_mid_line: Whether the last byte that was written is no newline.
    """

    def __init__(self, *, stdout_to_stderr: bool) -> None:
        self.broken = False
        self.failure: OSError | None = None
        self.in_mid_line = False
        self._to_stderr = stdout_to_stderr

    def copy(self, chunks: Iterable[LogChunk], *, on_broken: Callable[[], None]) -> None:
        """Copy all chunks; those that come after a failed write are dropped, so that the bot never waits for us.

        Args:
            chunks: What the bot writes.
            on_broken: Called once, when nobody can be written to any more.
        """
        for chunk in chunks:
            if self.broken:
                continue
            try:
                self._write(chunk)
            except OSError as error:
                self.broken = True
                self.failure = None if isinstance(error, BrokenPipeError) else error
                abandon_stdout()
                on_broken()

    def _write(self, chunk: LogChunk) -> None:
        target = self._target(chunk.stream)
        target.write(chunk.data)
        target.flush()
        self.in_mid_line = not chunk.data.endswith(b"\n")

    def _target(self, stream: Stream) -> BinaryIO:
        wanted = sys.stdout if stream is Stream.STDOUT and not self._to_stderr else sys.stderr
        if wanted is None:  # closed by whoever started us
            raise BrokenPipeError
        return wanted.buffer
