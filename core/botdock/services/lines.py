"""From chunks of bytes to lines."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping

from botdock.model.logs import LogChunk, LogLine, Stream

MAX_PIECE = 64 * 1024
"""Bytes of a line after which it is handed on in pieces, so that memory stays bounded; no piece cuts a character."""

_PART = 16 * 1024
_CONTINUATIONS = bytes(range(0x80, 0xC0))
"""What a character of UTF-8 goes on with (RFC 3629)."""


class LineSplitter:
    r"""Cuts the chunks of both streams into lines; keeps at most one piece of a line per stream.

    Where a chunk ends makes no difference to the lines.

    Args:
        open: Per stream, the bytes since the last newline that another splitter was fed, and the time of the line's
            first byte in nanoseconds since the epoch: a successor hands on whole lines this way. Of a line that is
            longer than a piece, what the other has handed on already is left out.

    Example:
        >>> splitter = LineSplitter({Stream.STDOUT: (b"half a ", 1)})
        >>> [line.text for line in splitter.feed(LogChunk(Stream.STDOUT, b"line\nand", 2))]
        ['half a line']
        >>> splitter.open_since(Stream.STDOUT)
        2
    """

    def __init__(self, open: Mapping[Stream, tuple[bytes, int]] | None = None) -> None:  # noqa: A002 - what it holds
        self._open = {stream: bytearray() for stream in Stream}
        self._since: dict[Stream, int | None] = dict.fromkeys(Stream)
        for stream, (data, since) in (open or {}).items():
            self._since[stream] = since
            self._open[stream] += _pieces(stream, data.rpartition(b"\n")[2], since)[-1].data

    def feed(self, chunk: LogChunk) -> list[LogLine]:
        """Return the lines that `chunk` completes, and pieces of a line that grows too long."""
        stream, now = chunk.stream, chunk.time_ns
        held = self._open[stream]
        if self._since[stream] is None and chunk.data:
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
        self._since[stream] = now if rest else None
        held += rest
        return lines + self._cut(stream)

    def finish(self, *streams: Stream) -> list[LogLine]:
        """Return what is left of these streams, or of both: the last lines that no newline ended."""
        rest = []
        for stream in streams or Stream:
            if held := self._open[stream]:
                rest.append(LogLine(stream, bytes(held), self._since[stream] or 0, complete=False))
                held.clear()
            self._since[stream] = None
        return rest

    def open_since(self, stream: Stream) -> int | None:
        """Return the time of the first byte of the line that has not ended yet; None when there is no such line."""
        return self._since[stream]

    def held(self, stream: Stream) -> int:
        """Return how many bytes of that line have not been handed on."""
        return len(self._open[stream])

    def _end(self, stream: Stream) -> list[LogLine]:
        """Return the held line, which has ended."""
        held = self._open[stream]
        lines = _pieces(stream, bytes(held), self._since[stream] or 0)
        held.clear()
        return lines

    def _cut(self, stream: Stream) -> list[LogLine]:
        """Return all but the last piece of what is held; a line of one piece is known only when it ends."""
        held = self._open[stream]
        if len(held) <= MAX_PIECE:
            return []
        *pieces, last = _pieces(stream, bytes(held), self._since[stream] or 0)
        held[:] = last.data
        return pieces


def _pieces(stream: Stream, data: bytes, since: int) -> list[LogLine]:
    """Return a whole line as pieces, the last of which is complete."""
    lines, begin = [], 0
    while len(data) - begin > MAX_PIECE:
        end = border(data, begin + MAX_PIECE)
        lines.append(LogLine(stream, data[begin:end], since, complete=False))
        begin = end
    return [*lines, LogLine(stream, data[begin:], since)]


def border(data: bytes, end: int) -> int:
    """Return where to cut at the latest: before the character of UTF-8 that lies across `end`, if one does."""
    last = max(end - 4, -1)  # a character has four bytes at most (RFC 3629), all but the first of which are 10xxxxxx
    return next((at for at in range(end, last, -1) if data[at] not in _CONTINUATIONS), end)


def parts(chunk: LogChunk) -> Iterator[LogChunk]:
    """Yield a chunk in parts so small that the lines of one take little memory: a byte may be a line."""
    for start in range(0, len(chunk.data), _PART):
        yield LogChunk(chunk.stream, chunk.data[start : start + _PART], chunk.time_ns)


def last_text(chunks: Iterable[LogChunk], size: int) -> str:
    """Return the last `size` bytes as text, without the rest of a character whose beginning is not among them."""
    chunks = list(chunks)
    surplus = cut = max(0, sum(len(chunk.data) for chunk in chunks) - size)
    decoders = {stream: getincrementaldecoder("utf-8")("replace") for stream in Stream}
    begun, text = dict.fromkeys(Stream, not cut), []
    for chunk in chunks:
        data, surplus = chunk.data[surplus:], max(0, surplus - len(chunk.data))
        if not begun[chunk.stream]:
            data = data.lstrip(_CONTINUATIONS)
            begun[chunk.stream] = bool(data)
        text.append(decoders[chunk.stream].decode(data))
    return "".join([*text, *(decoder.decode(b"", final=True) for decoder in decoders.values())])


def lines_of(chunks: Iterable[LogChunk]) -> Iterator[LogLine]:
    """Yield the lines of `chunks`; an unterminated last line of a stream comes at the end."""
    splitter = LineSplitter()
    for chunk in chunks:
        for part in parts(chunk):
            yield from splitter.feed(part)
    yield from splitter.finish()
