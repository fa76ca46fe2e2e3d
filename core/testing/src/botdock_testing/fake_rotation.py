"""The part of a log that the fake engine has forgotten, as a log driver does that rotates."""

from __future__ import annotations

import attrs

from botdock.model import LogCursor, LogGap, Stream


@attrs.define(eq=False)
class Rotation:
    """What of one stream is gone, and where a reader stands in spite of it.

    Attributes:
        stream: Which stream.
        forgotten: Bytes of its beginning that are gone.
        known: Whether the engine can say how many a reader has missed.
    """

    stream: Stream
    forgotten: int = 0
    known: bool = True
    _jumps: dict[int, int] = attrs.field(factory=dict)

    def begin(self, cursor: LogCursor) -> tuple[int, LogGap | None]:
        """Return how many bytes of the stream come before the first one that a reader gets, and what it has missed.

        A gap of unknown size is not in the reader's count. So it is remembered at which count it lay: a reader
        that has counted further has read over it.
        """
        count = cursor.stdout if self.stream is Stream.STDOUT else cursor.stderr
        place = count + sum(size for at, size in self._jumps.items() if at < count)
        missed = self.forgotten - place
        if missed <= 0:
            return place, None
        if not self.known:
            self._jumps[count] = missed
        return self.forgotten, LogGap(
            stream=self.stream, size=missed if self.known else None, since_ns=cursor.last_ns, until_ns=cursor.last_ns
        )
