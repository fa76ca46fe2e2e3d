"""Verifies a stored log: recomputes all that was counted and hashed when it was written, and names what differs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.model.logs import LogSummary
from botdock.services.log_store.compare import compare
from botdock.services.log_store.files import present_files
from botdock.services.log_store.findings import Comparison, Finding, Meter, OnProgress, Verification
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
from botdock.services.log_store.tally import Tally, summarise
from botdock.services.log_store.verify_segment import SegmentCheck

__all__ = ["Comparison", "Finding", "Verification", "compare", "verify"]

_TRIES = 10
"""How often a segment is looked at before something counts as found, while files of it come and go: it may be
compressed or sealed in the same instant, which changes its files five times."""


def verify(directory: Path, *, on_progress: OnProgress | None = None) -> Verification:
    """Recompute all that a log says of itself, in memory that does not grow with it.

    Works while it is written, compressed and removed by retention, too: what its indexes name when they are come to is
    looked at.

    Args:
        directory: Of the log.
        on_progress: Told how far it is, of the bytes that the log had on disk when it began.

    Raises:
        OSError: It cannot be read.
    """
    return _Verifying(directory).run(on_progress)


class _Verifying:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names = set(os.listdir(directory))  # noqa: PTH208 - only names
        self._findings: list[Finding] = []
        self._ended = END in self._names
        self._begin_behind(*self._removed())

    def _begin_behind(self, removed_segments: int, removed: Tally) -> None:
        """Begin with the first segment that is kept: what came before is not counted."""
        self._removed_segments = removed_segments
        self._gone = removed
        self._kept = Tally()
        self._segments = 0
        self._whole = {stream: hashlib.sha256() for stream in STREAMS}
        self._ends = dict.fromkeys(STREAMS, b"")

    def run(self, on_progress: OnProgress | None) -> Verification:
        document = self._document(END) if self._ended else None
        self._find_strangers()
        numbers = range(self._removed_segments, self._last(document) + 1)
        self._meter = Meter(self._directory, numbers, on_progress)
        for number in numbers:
            if number >= self._removed_segments:  # it may be removed before it is come to
                self._look_at(number, numbers[-1])
            self._meter.end(number)
        self._meter.finish()
        summary = self._summary(document)
        if document is not None and not self._findings:
            self._findings += _differences(document, summary)
        return Verification(
            summary=summary, records=self._kept.records, ended=self._ended, findings=tuple(self._findings)
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
        except ValueError:
            self._find(REMOVED, "it is damaged")
            return first, Tally()
        if not segments and first:
            self._find(REMOVED, f"it is missing, or the segments before {first} are")
            return first, Tally()
        return segments, tally

    def _last(self, document: dict[str, Any] | None) -> int:
        """Return the number of the newest segment."""
        removed = self._removed_segments
        newest = max((number for name in self._names if (number := segment_of(name)) is not None), default=-1)
        if not self._ended and newest >= removed and self._is_being_made(newest):
            newest -= 1
        count = document.get("segments") if document else None
        return max(newest, removed + count - 1) if isinstance(count, int) else newest

    def _is_being_made(self, number: int) -> bool:
        """Return whether a segment has no index yet: it gets one last, before the first byte."""
        there = [name for name in self._names if segment_of(name) == number]
        if not {data_name(stream, number) for stream in STREAMS}.issuperset(there):
            return False
        with suppress(FileNotFoundError):  # it has been made and compressed meanwhile
            return not any((self._directory / name).stat().st_size for name in there)
        return False

    def _find_strangers(self) -> None:
        for name in sorted(self._names - {END, REMOVED}):
            number = segment_of(name)
            if number is None and not is_draft(name):
                self._find(name, "it does not belong to a log")
            elif number is not None and number < self._removed_segments and self._ended:
                self._find(name, "retention has removed its segment")

    def _look_at(self, number: int, last: int) -> None:
        for _ in range(_TRIES):
            before = present_files(self._directory, number)
            whole = {stream: digest.copy() for stream, digest in self._whole.items()}
            closed = self._is_closed(number, last)
            check = SegmentCheck(self._directory, number, closed=closed, whole=whole, meter=self._meter)
            try:
                check.run()
            except FileNotFoundError as error:  # compressed or removed in this instant
                check.findings.append(Finding(file=Path(error.filename).name, problem="it is missing"))
            if not check.findings:
                break
            if self._is_gone(number):
                return
            if before == present_files(self._directory, number):
                break
        self._whole = whole
        self._segments += 1
        self._findings += check.findings
        self._kept.add(check.tally)
        self._ends = {stream: check.ends[stream] or end for stream, end in self._ends.items()}

    def _is_closed(self, number: int, last: int) -> bool:
        """Return whether a segment must have a seal: seals are written in their order, and before compression."""
        later = any(seal_name(other) in self._names for other in range(number + 1, last + 1))
        packed = any(f"{stream}.{number}.gz" in self._names for stream in STREAMS)
        return self._ended or later or packed

    def _is_gone(self, number: int) -> bool:
        """Return whether a segment has been removed meanwhile; with it went all that were looked at before."""
        with suppress(ValueError):
            segments, removed = read_removed(self._directory)
            if segments > number:
                self._begin_behind(segments, removed)
                return True
        return False

    def _summary(self, document: dict[str, Any] | None) -> LogSummary:
        return summarise(
            kept=self._kept,
            removed=self._gone,
            hashes={stream: digest.hexdigest() for stream, digest in self._whole.items()},
            open_lines={stream: end not in {b"", b"\n"} for stream, end in self._ends.items()},
            segments=self._segments,
            removed_segments=self._removed_segments,
            complete=document is not None and document.get("complete") is True,
        )


def _differences(document: dict[str, Any], summary: LogSummary) -> Iterator[Finding]:
    for name, value in attrs.asdict(summary).items():
        if document.get(name) != value:
            text = f"it says {name} {document.get(name)!r}, there is {value!r}"
            yield Finding(file=END, problem=text)
