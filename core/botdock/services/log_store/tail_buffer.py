"""The end of a log that went over its limit: kept in memory until it is known to be the end."""

from __future__ import annotations

from collections import deque

import attrs

from botdock.model.logs import GapReason, LogGap, Stream
from botdock.services.log_store.layout import STREAMS
from botdock.services.masking import Masked

_SMALL = 80
"""Bytes of a piece from which on its record is at most a quarter of it."""
_MOST_PIECES = 2048


@attrs.frozen
class Piece:
    """A chunk, masked.

    Attributes:
        stream: Of which stream.
        masked: Its bytes.
        time_ns: When it was seen.
    """

    stream: Stream
    masked: Masked
    time_ns: int


class TailBuffer:
    """Keeps the newest bytes of both streams together, until it is known that they are the end; counts the others.

    What came in small pieces is joined, and there are at most `_MOST_PIECES`, for each becomes a record of the index.

    Args:
        size: Bytes that are kept; a secret or a character that lies across that border is kept whole.

    Attributes:
        pieces: What is kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.pieces: deque[Piece] = deque()
        self._held = 0
        self._dropped = dict.fromkeys(STREAMS, 0)

    def add(self, piece: Piece) -> None:
        """Take a piece, and let go of the oldest bytes that are too many."""
        last = self.pieces[-1] if self.pieces else None
        if last and last.stream is piece.stream and len(last.masked.data) < _SMALL:
            self.pieces[-1] = attrs.evolve(last, masked=last.masked.join(piece.masked))
        else:
            self.pieces.append(piece)
        self._held += len(piece.masked.data)
        while self._held > self._size and self._trim(self.pieces[0], self._held - self._size):
            pass
        if len(self.pieces) > _MOST_PIECES:
            self._trim(self.pieces[0], len(self.pieces[0].masked.data))

    def gaps(self, since_ns: int) -> list[LogGap]:
        """Return what was let go, per stream."""
        until_ns = self.pieces[0].time_ns if self.pieces else since_ns
        return [
            LogGap(stream=stream, size=size, since_ns=since_ns, until_ns=until_ns, reason=GapReason.LIMIT)
            for stream, size in self._dropped.items()
            if size
        ]

    def _trim(self, oldest: Piece, size: int) -> bool:
        """Let go of so many bytes of the oldest piece; return whether that was anything."""
        gone, kept = oldest.masked.split(size)
        self.pieces.popleft()
        if kept.data:
            self.pieces.appendleft(attrs.evolve(oldest, masked=kept))
        self._held -= len(gone.data)
        self._dropped[oldest.stream] += len(gone.data)
        return bool(gone.data)
