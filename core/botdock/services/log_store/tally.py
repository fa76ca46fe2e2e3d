"""What a segment, or several together, hold: counts that add up, what was removed, the seal, and a log's summary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from botdock.model.logs import LogSummary, Stream
from botdock.services.log_store.layout import (
    RECORD,
    REMOVED,
    STREAMS,
    VERSION,
    Kind,
    Record,
    data_name,
    open_data,
    parse_document,
    pieces,
    read_document,
    remove_segments,
    seal_name,
    write_document,
)

FREE_INDEX = 16 * 1024
"""Bytes of an index that no limit counts."""
_MILLION = 1_000_000
_SECOND = 1_000_000_000


@attrs.define(kw_only=True)
class StreamTally:
    """What is stored of one stream.

    Attributes:
        bytes: Bytes.
        newlines: Newlines among them.
        missing: Bytes that are known to be missing between them.
    """

    bytes: int = 0
    newlines: int = 0
    missing: int = 0


@attrs.define(kw_only=True)
class Tally:
    """What is stored of both streams.

    Attributes:
        streams: By stream.
        records: Records of the index.
        gaps: How many of them name a gap.
        gap_ns: Nanoseconds that the gaps of unknown size span.
        masked: How many secrets were masked.
        first_ns: The earliest time of a record; 0 for none.
        last_ns: The latest one.
    """

    streams: dict[Stream, StreamTally] = attrs.field(factory=lambda: {stream: StreamTally() for stream in STREAMS})
    records: int = 0
    gaps: int = 0
    gap_ns: int = 0
    masked: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of both streams."""
        return sum(tally.bytes for tally in self.streams.values())

    @property
    def charged(self) -> int:
        """Bytes of both streams, and of their index what is more than a quarter of these and `FREE_INDEX`.

        That is what limits bound, for an index may take 20 times as much as single bytes that came one by one.
        """
        return self.bytes + max(self.records * RECORD.size - self.bytes // 4 - FREE_INDEX, 0)

    def count(self, record: Record, newlines: int = 0) -> None:
        """Add a record, and the newlines of its chunk."""
        tally = self.streams[record.stream]
        self.records += 1
        self.masked += record.masked
        if record.time_ns and (record.time_ns < self.first_ns or not self.first_ns):
            self.first_ns = record.time_ns
        self.last_ns = max(self.last_ns, record.time_ns)
        if record.kind is Kind.DATA:
            tally.bytes += record.length
            tally.newlines += newlines
            return
        self.gaps += 1
        if record.kind is Kind.SPAN:
            self.gap_ns += record.length * _MILLION
        else:
            tally.missing += record.length

    def add(self, other: Tally, sign: int = 1) -> None:
        """Add another one; with a sign of -1, take it away again."""
        for stream, tally in other.streams.items():
            mine = self.streams[stream]
            mine.bytes += sign * tally.bytes
            mine.newlines += sign * tally.newlines
            mine.missing += sign * tally.missing
        self.records += sign * other.records
        self.gaps += sign * other.gaps
        self.gap_ns += sign * other.gap_ns
        self.masked += sign * other.masked
        if sign > 0:
            self.first_ns = min(filter(None, (self.first_ns, other.first_ns)), default=0)
            self.last_ns = max(self.last_ns, other.last_ns)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return what `attrs.asdict` made a document of; what else is in it is ignored.

        Raises:
            ValueError: It is not such a document.
        """
        try:
            streams = {stream: StreamTally(**document["streams"][stream]) for stream in STREAMS}
            return cls(streams=streams, **{name: document[name] for name in _COUNTS})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the counts of a log: {error}") from error


_COUNTS = [field.name for field in attrs.fields(Tally) if field.name != "streams"]


def sum_of(*tallies: Tally) -> Tally:
    """Return what all of them hold together."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


@attrs.frozen(kw_only=True)
class Seal:
    """What is in a segment to which nothing is added any more.

    Attributes:
        tally: Its counts.
        sha256: The hash of each stream's bytes, and of the `index`.
    """

    tally: Tally
    sha256: Mapping[str, str]

    @classmethod
    def of(cls, directory: Path, number: int) -> Self:
        """Read the seal of a segment.

        Raises:
            FileNotFoundError: It has none.
            ValueError: It is damaged, or that of another segment.
        """
        document = parse_document((directory / seal_name(number)).read_bytes())
        if document.get("version") != VERSION or document.get("segment") != number:
            raise ValueError("it is that of another segment, or of another version")
        sha256 = document.get("sha256")
        if not isinstance(sha256, dict) or set(sha256) != {*STREAMS, "index"}:
            raise ValueError("it holds no hashes")
        return cls(tally=Tally.from_json(document), sha256=sha256)


def sealed(directory: Path, number: int) -> Tally | None:
    """Return what the seal of a segment says that is in it, or None where it has none, or one that is damaged."""
    document = read_document(directory / seal_name(number))
    return None if document is None else Tally.from_json(document)


def read_removed(directory: Path) -> tuple[int, Tally]:
    """Return how many segments retention has removed, and what was in them.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    try:
        document = parse_document((directory / REMOVED).read_bytes())
        return int(document["segments"]), Tally.from_json(document)
    except FileNotFoundError:
        return 0, Tally()
    except (KeyError, ValueError) as error:
        raise ValueError(f"{REMOVED} is damaged") from error


def remove_segment(directory: Path, number: int, removed: Tally) -> None:
    """Remove the oldest segment that is kept.

    Args:
        directory: Of the log.
        number: Of the segment.
        removed: What is in all segments that are gone then, this one among them; it is written down before the first
            file goes.
    """
    write_document(directory / REMOVED, {"version": VERSION, "segments": number + 1, **attrs.asdict(removed)})
    remove_segments(directory, range(number + 1))


def summarise(
    *,
    kept: Tally,
    removed: Tally,
    hashes: Mapping[Stream, str],
    open_lines: Mapping[Stream, bool],
    segments: int,
    removed_segments: int,
    complete: bool,
) -> LogSummary:
    """Return the summary.

    Args:
        kept: What is in the segments that are there.
        removed: What was in those that retention has removed.
        hashes: SHA-256 of what is kept, by stream.
        open_lines: Whether a stream ends without a newline.
        segments: How many segments are there.
        removed_segments: How many are gone.
        complete: Whether the log was read to its end and the exit is known.
    """
    streams: dict[str, dict[str, int | str]] = {
        stream.value: {"bytes": tally.bytes, "lines": tally.newlines + open_lines[stream], "sha256": hashes[stream]}
        for stream, tally in kept.streams.items()
    }
    both = sum_of(kept, removed) if removed_segments else kept
    one_by_one = "".join(f"{stream.value} {hashes[stream]}\n" for stream in STREAMS)
    return LogSummary(
        bytes=kept.bytes,
        lines=sum(tally.newlines for tally in kept.streams.values()) + sum(open_lines.values()),
        sha256=hashlib.sha256(one_by_one.encode()).hexdigest(),
        streams=streams,
        gaps=both.gaps,
        gap_bytes=sum(tally.missing for tally in both.streams.values()),
        gap_seconds=both.gap_ns / _SECOND,
        masked=both.masked,
        segments=segments,
        removed_segments=removed_segments,
        removed_bytes=removed.bytes,
        removed_lines=sum(tally.newlines for tally in removed.streams.values()),
        complete=complete,
    )


def hash_stream(directory: Path, stream: Stream, segments: range) -> str:
    """Return the SHA-256 of what is in these segments of a stream; reads all of it."""
    digest = hashlib.sha256()
    for number in segments:
        with open_data(directory, data_name(stream, number)) as file:
            for piece in pieces(file):
                digest.update(piece)
    return digest.hexdigest()
