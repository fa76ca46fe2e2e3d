"""What an engine had lost of a log, on its way into the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from botdock.model.logs import LogGap, Stream
from botdock.services.log_store import LogWriter

if TYPE_CHECKING:
    from loguru import Logger


class Losses:
    """Notes each gap once, right before the first byte behind it: until then, whoever goes on finds it once more.

    Args:
        writer: Of the log.
        record: Told of each `gap`, with its bytes as far as they are known.
        log: Botdock's own log.

    Attributes:
        count: How many were noted.
    """

    def __init__(self, writer: LogWriter, record: Callable[[str, bool, int], None], log: Logger) -> None:
        self.count = 0
        self._writer = writer
        self._record = record
        self._log = log
        self._pending: dict[Stream, LogGap] | None = None

    @property
    def known(self) -> bool:
        """Whether it has been found out what the stream that is read has lost."""
        return self._pending is not None

    def begin(self) -> None:
        """Begin anew, with another stream."""
        self._pending = None

    def find(self, gaps: Iterable[LogGap]) -> None:
        """Learn what lies between what is stored and what comes."""
        self._pending = {gap.stream: gap for gap in gaps}

    def note(self, stream: Stream) -> None:
        """Note what is missing before a chunk of `stream`, if anything is.

        Raises:
            LogError: The disk took no more.
        """
        if self._pending and (gap := self._pending.pop(stream, None)):
            self._writer.note_gap(gap)
            self.count += 1
            self._record("gap", False, gap.size or 0)  # noqa: FBT003 - the callback's signature
            self._log.bind(stream=str(stream), size=gap.size).warning("the engine had lost a part of the log")

    def note_all(self) -> None:
        """Note what is missing at the end, behind which nothing comes.

        Raises:
            LogError: The disk took no more.
        """
        for stream in Stream:
            self.note(stream)
