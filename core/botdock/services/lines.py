"""From chunks of bytes to lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from botdock.model.logs import LogChunk, LogLine, Stream

MAX_PIECE = 64 * 1024
"""Bytes of a line after which it is handed on in pieces, so that memory stays bounded."""

_PART = 16 * 1024


class LineSplitter:
    r"""Cuts the chunks of both streams into lines; keeps at most one piece of a line per stream.

    Where a chunk ends makes no difference to the lines.

    Args:
        open: Per stream, the bytes since the last newline that another splitter was fed, and the time of the line's
            first byte in nanoseconds since the epoch: who continues a log hands on whole lines this way. Of a line
            that is longer than a piece, what the other has handed on already is left out.

    Example:
        >>> splitter = LineSplitter({Stream.STDOUT: (b"half a ", 1)})
        >>> [line.text for line in splitter.feed(LogChunk(Stream.STDOUT, b"line\nand", 2))]
        ['half a line']
        >>> splitter.open_since(Stream.STDOUT)
        2
    """

    def __init__(self, open: Mapping[Stream, tuple[bytes, int]] | None = None) -> None:  # noqa: A002 - what it holds
        self._open = {stream: bytearray() for stream in Stream}
        self._since = dict.fromkeys(Stream, 0)
        for stream, (data, since) in (open or {}).items():
            self._open[stream] += _last_piece(data.rpartition(b"\n")[2])
            self._since[stream] = since

    def feed(self, chunk: LogChunk) -> list[LogLine]:
        """Return the lines that `chunk` completes, and pieces of a line that grows too long."""
        stream, now = chunk.stream, chunk.time_ns
        held = self._open[stream]
        if not held:
            self._since[stream] = now
        first, *others = chunk.data.split(b"\n")
        held += first  # only what is new is looked at: what is held has no newline
        if not others:
            return self._cut(stream)
        lines = self._end(stream)
        rest = others.pop()
        for data in others:
            if len(data) > MAX_PIECE:
                lines += _pieces(stream, data, now)
            else:
                lines.append(LogLine(stream, data, now))
        self._since[stream] = now
        held += rest
        return lines + self._cut(stream)

    def finish(self) -> list[LogLine]:
        """Return what is left: the last lines that no newline ended."""
        rest = [
            LogLine(stream, bytes(held), self._since[stream], complete=False)
            for stream, held in self._open.items()
            if held
        ]
        for held in self._open.values():
            held.clear()
        return rest

    def open_since(self, stream: Stream) -> int | None:
        """Return the time of the first byte of the line that has not ended yet; None when there is no such line."""
        return self._since[stream] if self._open[stream] else None

    def _end(self, stream: Stream) -> list[LogLine]:
        """Return the held line, which has ended."""
        held = self._open[stream]
        lines = _pieces(stream, bytes(held), self._since[stream])
        held.clear()
        return lines

    def _cut(self, stream: Stream) -> list[LogLine]:
        """Return all but the last piece of what is held; a line of one piece is known only when it ends."""
        held = self._open[stream]
        if len(held) <= MAX_PIECE:
            return []
        *pieces, last = _pieces(stream, bytes(held), self._since[stream])
        held[:] = last.data
        return [LogLine(piece.stream, piece.data, piece.time_ns, complete=False) for piece in pieces]


def _pieces(stream: Stream, data: bytes, since: int) -> list[LogLine]:
    """Return a whole line as pieces, the last of which is complete."""
    last = len(_last_piece(data))
    cuts = range(0, len(data) - last, MAX_PIECE)
    pieces = [LogLine(stream, data[cut : cut + MAX_PIECE], since, complete=False) for cut in cuts]
    return [*pieces, LogLine(stream, data[len(data) - last :], since)]


def _last_piece(data: bytes) -> bytes:
    """Return what is left of a line when whole pieces are taken off; all of a piece when nothing would be."""
    return data[max(len(data) - 1, 0) // MAX_PIECE * MAX_PIECE :]


def parts(chunk: LogChunk) -> Iterator[LogChunk]:
    """Yield a chunk in parts so small that the lines of one take little memory: a byte may be a line."""
    for start in range(0, len(chunk.data), _PART):
        yield LogChunk(chunk.stream, chunk.data[start : start + _PART], chunk.time_ns)


def lines_of(chunks: Iterable[LogChunk]) -> Iterator[LogLine]:
    """Yield the lines of `chunks`; an unterminated last line of a stream comes at the end."""
    splitter = LineSplitter()
    for chunk in chunks:
        for part in parts(chunk):
            yield from splitter.feed(part)
    yield from splitter.finish()
