"""What is stored of each read: few records, however small a bot's pieces are; and gaps before what follows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from botdock._log import logger
from botdock.model.logs import LogChunk, LogGap, LogSource, Stream
from botdock.services.lines import LineSplitter, parts
from botdock.services.log_store import LogWriter

if TYPE_CHECKING:
    from botdock.services.log_sinks import SinkFanOut

MAX_CHUNKS = 64
"""Chunks of one read whose order between the two streams is kept."""
MOMENT_NS = 5_000_000
"""Nanoseconds within which the order of bytes is that of two pipes, which have none."""
_LATEST_NS = 2**63 - 1


@attrs.frozen(kw_only=True)
class CollectionStatus:
    """How a collection stands.

    Attributes:
        bytes: Bytes stored so far, both streams.
        ended: Whether nothing more will come.
        error: Why it broke, or an empty text.
        resumed: How often a broken stream was continued.
        gaps: How often bytes were found missing, since this collection began.
        last_output: When this collection last stored something, on the monotonic clock; None for not yet.
        stored_before_ns: The time of the last chunk that lay there when it began, in nanoseconds since the epoch; None
            for none.
        read_since: Since when what the bot writes comes as it is written, on the monotonic clock; 0 for from the first
            byte on; None while it does not come, since the stream is being opened again, or cannot be any more.
    """

    bytes: int
    ended: bool
    error: str
    resumed: int
    gaps: int
    last_output: float | None = None
    stored_before_ns: int | None = None
    read_since: float | None = 0.0


class Intake:
    """Stores what a stream brings, and offers the sinks its lines, also the one that the log is in the middle of.

    Args:
        writer: Of the log.
        source: Whose log it is.
        sinks: Get what is stored, as lines.
        record: Told of each `gap` and of what was stored: the name, whether it succeeded, bytes.

    Attributes:
        gaps: How many gaps were noted.
        lost: What the stream has lost and is not noted yet; None until the stream is known to tell.
        last_output: When it last stored something, on the monotonic clock; None for not yet.
        stored_before_ns: As of `CollectionStatus`.
    """

    def __init__(
        self,
        writer: LogWriter,
        *,
        source: LogSource,
        sinks: SinkFanOut | None,
        record: Callable[[str, bool, int], None],
    ) -> None:
        self.gaps = 0
        self._writer = writer
        self._source = source
        self._record = record
        self.last_output: float | None = None
        last_ns = writer.found.last_ns
        self.stored_before_ns = last_ns if writer.found.bytes else None
        self._stored = self._counted = 0
        self._counting = threading.Lock()
        self._offering: tuple[SinkFanOut, LineSplitter] | None = None
        if sinks is not None:
            begun = {stream: (rest, last_ns) for stream, rest in writer.open_lines().items() if rest}
            self._offering = sinks, LineSplitter(begun)
        self.lost: dict[Stream, LogGap] | None = None

    def store(self, chunks: Sequence[LogChunk], lost: Sequence[LogGap], *, ended: bool) -> None:
        """Store what one read brought, the stream's losses where they are new, and the end.

        Raises:
            LogError: The disk took no more.
        """
        if self.lost is None:
            self.lost = {gap.stream: gap for gap in lost}
        if chunks:
            self.last_output = time.monotonic()
        for chunk in chunks:
            if self.lost:
                self._note_gap(chunk.stream)
            stored = self._writer.append(chunk)
            self._stored += len(stored)
            if stored and self._offering:
                self._offer(*self._offering, LogChunk(chunk.stream, stored, chunk.time_ns))
        if ended:
            for stream in [stream for stream in Stream if stream in self.lost]:
                self._note_gap(stream)
            self.close_up()

    def close_up(self) -> None:
        """Store what was held back, for nothing more will come, and offer the unterminated last lines.

        Raises:
            LogError: The disk took no more.
        """
        stored = self._writer.flush()
        self._stored += sum(len(chunk.data) for chunk in stored)
        if self._offering:
            sinks, lines = self._offering
            for chunk in stored:
                self._offer(sinks, lines, chunk)
            sinks.offer(self._source, lines.finish())

    def count_growth(self) -> None:
        """Record what was stored since the last time, if anything was; any thread may."""
        with self._counting:
            before, self._counted = self._counted, self._stored
            size = self._counted - before
        if size:
            self._record("store", True, size)  # noqa: FBT003 - the callback's signature

    def _note_gap(self, stream: Stream) -> None:
        """Note what is missing right before the first byte behind it: until then, a successor finds it once more."""
        if self.lost and (gap := self.lost.pop(stream, None)):
            self._writer.note_gap(gap)
            self.gaps += 1
            self._record("gap", False, gap.size or 0)  # noqa: FBT003 - the callback's signature
            logger.bind(execution_id=self._source.execution_id, stream=str(stream), size=gap.size).warning(
                "the engine had lost a part of the log"
            )

    def _offer(self, sinks: SinkFanOut, lines: LineSplitter, stored: LogChunk) -> None:
        for part in parts(stored):
            if found := lines.feed(part):
                sinks.offer(self._source, found)


def condense(chunks: Sequence[LogChunk], *, largest: int) -> list[LogChunk]:
    """Return the chunks of one read as they are stored, each of which costs a record of 20 bytes in the index.

    Neighbours of one stream that were seen within a moment, `MOMENT_NS`, become one. Are there more than `MAX_CHUNKS`
    even so, as of a bot that writes single bytes to both streams in turn, each moment becomes one chunk of stdout and
    one of stderr. So a read makes at most `MAX_CHUNKS` records, or two for each moment that it spans and one for each
    `largest` bytes; since a stream that brings little is read at most once a moment, that is at most 12,800 records
    (256 KB) in a second, and never more than 2 % of what a stream brings that brings much.

    Args:
        chunks: As the stream delivered them; what has no time was seen now.
        largest: Bytes of a chunk that is stored, at most.

    Raises:
        TypeError: The stream delivered something else than chunks.
    """
    joined = list(_checked(chunks))
    if len(joined) > 1:
        joined = _joined(joined, keep_order=True)
    if len(joined) > MAX_CHUNKS:
        joined = _joined(joined, keep_order=False)
    if all(len(chunk.data) <= largest for chunk in joined):
        return joined
    return [
        LogChunk(chunk.stream, chunk.data[start : start + largest], chunk.time_ns)
        for chunk in joined
        for start in range(0, len(chunk.data), largest)
    ]


def _checked(chunks: Iterable[LogChunk]) -> Iterator[LogChunk]:
    now = time.time_ns()
    for chunk in chunks:
        if not isinstance(chunk.data, bytes):
            raise TypeError(f"a chunk of a log holds {type(chunk.data).__name__}, not bytes")
        if not chunk.data:
            continue
        if 0 < chunk.time_ns <= _LATEST_NS and type(chunk.stream) is Stream:
            yield chunk
        else:
            yield LogChunk(Stream(chunk.stream), chunk.data, now)


def _joined(chunks: Iterable[LogChunk], *, keep_order: bool) -> list[LogChunk]:
    """Join what is of one stream and one moment; with `keep_order`, neighbours only."""
    groups: list[list[LogChunk]] = []
    by_stream: dict[Stream, list[LogChunk]] = {}
    first: LogChunk | None = None
    for chunk in chunks:
        stream = chunk.stream
        is_same_moment = first is not None and abs(chunk.time_ns - first.time_ns) < MOMENT_NS
        if first is None or not is_same_moment or (keep_order and stream is not first.stream):
            first, by_stream = chunk, {}
        if stream not in by_stream:
            by_stream[stream] = []
            groups.append(by_stream[stream])
        by_stream[stream].append(chunk)
    return [
        LogChunk(group[0].stream, b"".join([chunk.data for chunk in group]), group[0].time_ns)
        if len(group) > 1
        else group[0]
        for group in groups
    ]
