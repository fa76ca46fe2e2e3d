"""What is stored of a log, on its way to the sinks."""

from __future__ import annotations

import attrs

from botdock.model.logs import LogChunk, LogSource
from botdock.services.lines import LineSplitter, parts
from botdock.services.log_sinks import SinkFanOut
from botdock.services.log_store import LogWriter


class LineFeed:
    """Offers a log to the sinks as whole lines, also the one that the log on disk is in the middle of.

    Args:
        sinks: Who gets the lines; none of them is waited for.
        source: Whose lines they are.
        writer: Knows what is stored already.
    """

    def __init__(self, sinks: SinkFanOut, source: LogSource, writer: LogWriter) -> None:
        self._sinks = sinks
        self._source = source
        last_ns = writer.cursor.last_ns
        self._splitter = LineSplitter({stream: (rest, last_ns) for stream, rest in writer.open_lines().items() if rest})

    def offer(self, chunk: LogChunk, stored: bytes) -> None:
        """Offer what is stored now that `chunk` was."""
        if stored and self._sinks:
            for part in parts(attrs.evolve(chunk, data=stored)):
                if lines := self._splitter.feed(part):
                    self._sinks.offer(self._source, lines)

    def finish(self) -> None:
        """Offer the lines that no newline ended, for nothing more will come."""
        if self._sinks and (lines := self._splitter.finish()):
            self._sinks.offer(self._source, lines)
