"""From chunks of bytes to lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from botdock.model.logs import LogChunk, LogLine, Stream

MAX_PIECE = 64 * 1024
"""Bytes of a line after which it is handed on in pieces, so that memory stays bounded."""


class LineSplitter:
    """Cuts the chunks of both streams into lines; keeps at most one piece of a line per stream."""

    def __init__(self) -> None:
        self._open = {stream: bytearray() for stream in Stream}
        self._since = dict.fromkeys(Stream, 0)

    def feed(self, chunk: LogChunk) -> Iterator[LogLine]:
        """Yield the lines that `chunk` completes, and pieces of a line that grows too long."""
        held = self._open[chunk.stream]
        if not held:
            self._since[chunk.stream] = chunk.time_ns
        held += chunk.data
        *whole, rest = held.split(b"\n")
        for data in whole:
            yield from self._line(chunk.stream, bytes(data), complete=True)
            self._since[chunk.stream] = chunk.time_ns
        while len(rest) > MAX_PIECE:
            yield LogLine(chunk.stream, bytes(rest[:MAX_PIECE]), self._since[chunk.stream], complete=False)
            rest = rest[MAX_PIECE:]
        self._open[chunk.stream] = rest

    def finish(self) -> Iterator[LogLine]:
        """Yield what is left: the last lines that no newline ended."""
        for stream, rest in self._open.items():
            if rest:
                yield LogLine(stream, bytes(rest), self._since[stream], complete=False)
        self._open = {stream: bytearray() for stream in Stream}

    def _line(self, stream: Stream, data: bytes, *, complete: bool) -> Iterator[LogLine]:
        while len(data) > MAX_PIECE:
            yield LogLine(stream, data[:MAX_PIECE], self._since[stream], complete=False)
            data = data[MAX_PIECE:]
        yield LogLine(stream, data, self._since[stream], complete)


def lines_of(chunks: Iterable[LogChunk]) -> Iterator[LogLine]:
    """Yield the lines of `chunks`; an unterminated last line of a stream comes at the end."""
    splitter = LineSplitter()
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()
