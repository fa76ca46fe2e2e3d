"""What is stored of one read: few records, whatever the pieces in which a bot writes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from botdock.model.logs import LogChunk, Stream

MAX_CHUNKS = 64
"""Chunks of one read whose order between the two streams is kept."""
MOMENT_NS = 5_000_000
"""Nanoseconds within which the order of bytes is that of two pipes, which have none."""
_LATEST_NS = 2**63 - 1


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
    joined = _joined(_checked(chunks))
    if len(joined) > MAX_CHUNKS:
        joined = _regrouped(joined)
    if all(len(chunk.data) <= largest for chunk in joined):
        return joined
    return [piece for chunk in joined for piece in _pieces(chunk, largest)]


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


def _joined(chunks: Iterable[LogChunk]) -> list[LogChunk]:
    """Join neighbours of one stream and one moment."""
    runs: list[list[LogChunk]] = []
    for chunk in chunks:
        if runs and runs[-1][0].stream is chunk.stream and _is_same_moment(runs[-1][0], chunk):
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return [_one(run) for run in runs]


def _regrouped(chunks: Iterable[LogChunk]) -> list[LogChunk]:
    """Join what is of one stream and one moment, neighbours or not."""
    grouped: list[LogChunk] = []
    moment: dict[Stream, list[LogChunk]] = {}
    first: LogChunk | None = None
    for chunk in chunks:
        if first is None or not _is_same_moment(first, chunk):
            grouped += map(_one, moment.values())
            first, moment = chunk, {}
        moment.setdefault(chunk.stream, []).append(chunk)
    return [*grouped, *map(_one, moment.values())]


def _is_same_moment(first: LogChunk, later: LogChunk) -> bool:
    return abs(later.time_ns - first.time_ns) < MOMENT_NS


def _one(run: list[LogChunk]) -> LogChunk:
    if len(run) == 1:
        return run[0]
    return LogChunk(run[0].stream, b"".join(chunk.data for chunk in run), run[0].time_ns)


def _pieces(chunk: LogChunk, largest: int) -> Iterator[LogChunk]:
    for start in range(0, len(chunk.data), largest):
        yield LogChunk(chunk.stream, chunk.data[start : start + largest], chunk.time_ns)
