"""What a segment, or several together, hold: counts that add up."""

from __future__ import annotations

from typing import Any, Self

import attrs
import cattrs

from botdock.model.logs import Stream
from botdock.services.log_store.layout import RECORD, STREAMS, Kind, Record

FREE_INDEX = 16 * 1024
"""Bytes of an index that no limit counts."""
_MILLION = 1_000_000


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
        gap_ns: Nanoseconds that the gaps span whose size nobody knows.
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

    @property
    def newlines(self) -> int:
        """Newlines of both streams."""
        return sum(tally.newlines for tally in self.streams.values())

    @property
    def gap_bytes(self) -> int:
        """Bytes of both streams that are known to be missing."""
        return sum(tally.missing for tally in self.streams.values())

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

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return attrs.asdict(self, value_serializer=lambda _instance, _field, value: value)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return what `to_json` made a document of; what else is in it is ignored.

        Raises:
            ValueError: It is not such a document.
        """
        try:
            return cattrs.structure(document, cls)
        except cattrs.BaseValidationError as error:
            raise ValueError(f"not the counts of a log: {error}") from error
