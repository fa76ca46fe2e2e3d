"""Verifies a stored log: recomputes all that was counted and hashed when it was written, and names what differs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from botdock.model.logs import LogSummary
from botdock.services.log_store.compare import compare
from botdock.services.log_store.findings import Finding, Verification
from botdock.services.log_store.layout import (
    END,
    REMOVED,
    STREAMS,
    data_name,
    is_draft,
    parse_document,
    seal_name,
    segment_of,
)
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.summary import summarise
from botdock.services.log_store.tally import Tally
from botdock.services.log_store.verify_segment import SegmentCheck

__all__ = ["Finding", "Verification", "compare", "verify"]

_TRIES = 3
"""How often a segment of a log that has not ended is looked at before something counts as found: it may be compressed
or sealed in the same instant."""


def verify(directory: Path) -> Verification:
    """Recompute all that a log says of itself, in memory that does not grow with it.

    Works while it is written, too: what its indexes name by then is looked at.

    Raises:
        OSError: It cannot be read.
    """
    return _Verifying(directory).run()


class _Verifying:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names = set(os.listdir(directory))  # noqa: PTH208 - only names
        self._findings: list[Finding] = []
        self._ended = END in self._names
        self._tally = Tally()
        self._segments = 0
        self._whole = {stream: hashlib.sha256() for stream in STREAMS}
        self._ends = dict.fromkeys(STREAMS, b"")

    def run(self) -> Verification:
        removed, gone = self._removed()
        document = self._document(END) if self._ended else None
        last = self._last(removed, document)
        self._find_strangers(removed)
        for number in range(removed, last + 1):
            self._look_at(number, last)
        summary = self._summary(removed, gone, document)
        if document is not None and not self._findings:
            self._findings += _differences(document, summary)
        return Verification(
            segments=self._segments,
            bytes=summary.bytes,
            lines=summary.lines,
            records=self._tally.records,
            ended=self._ended,
            findings=tuple(self._findings),
        )

    def _find(self, file: str, problem: str) -> None:
        self._findings.append(Finding(file=file, problem=problem))

    def _document(self, name: str) -> dict[str, Any] | None:
        try:
            return parse_document((self._directory / name).read_bytes())
        except (ValueError, FileNotFoundError) as error:
            self._find(name, f"it is damaged: {error}")
        return None

    def _removed(self) -> tuple[int, Tally]:
        """Return how many segments were removed; from the names of those that are there, if that is not known."""
        first = min((number for name in self._names if (number := segment_of(name)) is not None), default=0)
        try:
            segments, tally = read_removed(self._directory)
        except (ValueError, KeyError):
            self._find(REMOVED, "it is damaged")
            return first, Tally()
        if not segments and first:
            self._find(REMOVED, f"it is missing, or the segments before {first} are")
            return first, Tally()
        return segments, tally

    def _last(self, removed: int, document: dict[str, Any] | None) -> int:
        """Return the number of the newest segment."""
        newest = max((number for name in self._names if (number := segment_of(name)) is not None), default=-1)
        if not self._ended and newest >= removed and self._is_being_made(newest):
            newest -= 1
        count = document.get("segments") if document else None
        return max(newest, removed + count - 1) if isinstance(count, int) else newest

    def _is_being_made(self, number: int) -> bool:
        """Return whether a segment has no index yet: it gets one last, before the first byte."""
        there = [name for name in self._names if segment_of(name) == number]
        begun = {data_name(stream, number) for stream in STREAMS}
        return begun.issuperset(there) and not any((self._directory / name).stat().st_size for name in there)

    def _find_strangers(self, removed: int) -> None:
        for name in sorted(self._names - {END, REMOVED}):
            number = segment_of(name)
            if number is None and not is_draft(name):
                self._find(name, "it does not belong to a log")
            elif number is not None and number < removed and self._ended:
                self._find(name, "retention has removed its segment")

    def _look_at(self, number: int, last: int) -> None:
        for attempt in range(1, _TRIES + 1):
            whole = {stream: digest.copy() for stream, digest in self._whole.items()}
            check = SegmentCheck(self._directory, number, closed=self._is_closed(number, last), whole=whole)
            try:
                check.run()
            except FileNotFoundError as error:  # compressed or removed in this instant
                check.findings.append(Finding(file=Path(error.filename).name, problem="it is missing"))
            if self._is_gone(number):
                return
            if self._ended or not check.findings or attempt == _TRIES:
                break
        self._whole = whole
        self._segments += 1
        self._findings += check.findings
        self._tally.add(check.tally)
        self._ends = {stream: check.ends[stream] or end for stream, end in self._ends.items()}

    def _is_closed(self, number: int, last: int) -> bool:
        """Return whether a segment must have a seal: seals are written in their order, and before compression."""
        later = any(seal_name(other) in self._names for other in range(number + 1, last + 1))
        packed = any(f"{stream}.{number}.gz" in self._names for stream in STREAMS)
        return self._ended or later or packed

    def _is_gone(self, number: int) -> bool:
        try:
            return not self._ended and read_removed(self._directory)[0] > number
        except ValueError:
            return False

    def _summary(self, removed: int, gone: Tally, document: dict[str, Any] | None) -> LogSummary:
        return summarise(
            kept=self._tally,
            removed=gone,
            hashes={stream: digest.hexdigest() for stream, digest in self._whole.items()},
            open_lines={stream: end not in {b"", b"\n"} for stream, end in self._ends.items()},
            segments=self._segments,
            removed_segments=removed,
            complete=bool(document and document.get("complete")),
        )


def _differences(document: dict[str, Any], summary: LogSummary) -> Iterator[Finding]:
    for name, value in attrs.asdict(summary).items():
        if document.get(name) != value:
            text = f"it says {name} {document.get(name)!r}, there is {value!r}"
            yield Finding(file=END, problem=text)
