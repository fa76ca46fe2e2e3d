"""Checks a stored log: against all that was counted and hashed when it was written, and against the storage's copy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from botdock.model import ByteReader
from botdock.model.logs import LogSummary
from botdock.services.log_store.layout import (
    END,
    PIECE,
    REMOVED,
    STREAMS,
    UNREADABLE,
    data_name,
    index_name,
    is_draft,
    open_data,
    parse_document,
    seal_name,
    segment_of,
)
from botdock.services.log_store.tally import Seal, Tally, read_removed, summarise
from botdock.services.log_store.verify_segment import Finding, Meter, OnProgress, SegmentCheck

__all__ = ["Comparison", "Finding", "OnProgress", "Verification", "compare", "verify"]


@attrs.frozen(kw_only=True)
class _Checked:
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@attrs.frozen(kw_only=True)
class Verification(_Checked):
    """What was looked at, and what was found.

    Attributes:
        summary: Counts and hashes of what is there, all recomputed; of what retention has removed, and of whether the
            log is complete, what was recorded. Its hashes are of exactly the bytes that it counts.
        records: Records of the indexes that fit.
        ended: Whether the log has ended; of one that has not, only what its indexes name was looked at.
        findings: What was found; none where all is as it was stored.
    """

    summary: LogSummary
    records: int


@attrs.frozen(kw_only=True)
class Comparison(_Checked):
    """What was compared with the storage's copy, and what was found.

    Attributes:
        segments: Segments that were compared.
        bytes: Bytes of both streams that were read here for it.
        ended: Whether the log has ended; of one that has not, what is missing there is on its way.
        findings: What differs; none where the copy is as the log.
    """

    segments: int
    bytes: int


def verify(directory: Path, *, on_progress: OnProgress | None = None) -> Verification:
    """Recompute all that a log says of itself, in memory that does not grow with it.

    Works while it is written, compressed and removed by retention, too: what its indexes name when they are come to is
    looked at.

    Args:
        directory: Of the log.
        on_progress: Told how far it is, of the bytes that the log held when it began.
    """
    return _Verifying(directory).run(on_progress)


class _Check:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names = set(os.listdir(directory))  # noqa: PTH208 - only names
        self._ended = END in self._names
        self._findings: list[Finding] = []

    def _find(self, file: str, problem: str) -> None:
        self._findings.append(Finding(file=file, problem=problem))


class _Verifying(_Check):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        made = self._names if self._ended else {name for name in self._names if not name.startswith(STREAMS)}
        self._numbers = {number for name in made if (number := segment_of(name)) is not None}
        """Of the segments that are there; of a log that goes on, those whose index is, which is made last."""
        sealed_or_packed = (segment_of(name) for name in self._names if name.endswith((".json", ".gz")))
        self._closed = max((number for number in sealed_or_packed if number is not None), default=-1)
        """The last segment that must have a seal: seals are written in their order, and before compression."""
        first, removed = min(self._numbers, default=0), _removed(directory)
        if removed is None:
            self._find(REMOVED, "it is damaged")
        elif first and not removed[0]:
            self._find(REMOVED, f"it is missing, or the segments before {first} are")
            removed = None
        self._begin_behind(*(removed or (first, Tally())))

    def _begin_behind(self, removed_segments: int, removed: Tally) -> None:
        """Begin with the first segment that is kept: what came before is not counted."""
        self._removed_segments, self._gone = removed_segments, removed
        self._kept, self._segments = Tally(), 0
        self._whole = {stream: hashlib.sha256() for stream in STREAMS}
        self._ends = dict.fromkeys(STREAMS, b"")

    def run(self, on_progress: OnProgress | None) -> Verification:
        document: dict[str, Any] = {}
        if self._ended:
            try:
                document = parse_document((self._directory / END).read_bytes())
            except ValueError as error:
                self._find(END, f"it is damaged: {error}")
        self._find_strangers()
        newest = max(self._numbers, default=-1)
        if isinstance(count := document.get("segments"), int):
            newest = max(newest, self._removed_segments + count - 1)
        numbers = range(self._removed_segments, newest + 1)
        self._meter = Meter(self._directory, numbers, on_progress)
        for number in numbers:
            self._meter.begin(number)
            if number >= self._removed_segments:  # it may be removed before it is come to
                self._look_at(number)
        self._meter.finish()
        summary = self._summary(complete=document.get("complete") is True)
        for name, value in attrs.asdict(summary).items() if document and not self._findings else ():
            if document.get(name) != value:
                self._find(END, f"it says {name} {document.get(name)!r}, there is {value!r}")
        return Verification(
            summary=summary, records=self._kept.records, ended=self._ended, findings=tuple(self._findings)
        )

    def _find_strangers(self) -> None:
        for name in sorted(self._names - {END, REMOVED}):
            number = segment_of(name)
            if number is None and not is_draft(name):
                self._find(name, "it does not belong to a log")
            elif number is not None and number < self._removed_segments and self._ended:
                self._find(name, "retention has removed its segment")

    def _look_at(self, number: int) -> None:
        closed = self._ended or number <= self._closed
        check = SegmentCheck(self._directory, number, closed=closed, whole=self._whole, meter=self._meter)
        check.run()
        if check.findings and (removed := _removed(self._directory)) and removed[0] > number:
            self._begin_behind(*removed)  # it went meanwhile, and with it all that were looked at before
            return
        self._segments += 1
        self._findings += check.findings
        self._kept.add(check.tally)
        self._ends = {stream: check.ends[stream] or end for stream, end in self._ends.items()}

    def _summary(self, *, complete: bool) -> LogSummary:
        return summarise(
            kept=self._kept,
            removed=self._gone,
            hashes={stream: digest.hexdigest() for stream, digest in self._whole.items()},
            open_lines={stream: end not in {b"", b"\n"} for stream, end in self._ends.items()},
            segments=self._segments,
            removed_segments=self._removed_segments,
            complete=complete,
        )


def _removed(directory: Path) -> tuple[int, Tally] | None:
    """Return what retention has removed; None where that is damaged."""
    with suppress(ValueError):
        return read_removed(directory)
    return None


def compare(
    directory: Path, open_object: Callable[[str], ByteReader | None], *, on_progress: OnProgress | None = None
) -> Comparison:
    """Compare each sealed segment that is kept, and the end, with the storage's copy, byte by byte.

    What is not sealed yet is not in the storage yet, and not looked at; as long as the log has not ended, what is
    missing there is on its way. Segments may be compressed, and removed by retention, meanwhile.

    Args:
        directory: Of the log.
        open_object: Returns what the storage holds of the file of this name, or None where it holds nothing.
        on_progress: Told how far it is, of the bytes that the sealed segments held when it began.
    """
    return _Comparing(directory, open_object).run(on_progress)


class _Comparing(_Check):
    def __init__(self, directory: Path, open_object: Callable[[str], ByteReader | None]) -> None:
        super().__init__(directory)
        self._open_object = open_object

    def run(self, on_progress: OnProgress | None) -> Comparison:
        first, segments, size = self._first(), 0, 0
        there = sorted({number for name in self._names if (number := segment_of(name)) is not None})
        numbers = [number for number in there if number >= first and seal_name(number) in self._names]
        self._meter = Meter(self._directory, numbers, on_progress)
        for number in numbers:
            self._meter.begin(number)
            before, read = len(self._findings), self._compare_segment(number)
            if self._first() > number:  # meanwhile: what was found may be this
                del self._findings[before:]
            else:
                segments, size = segments + 1, size + read
        if self._ended:
            self._compare(END, None)
        self._meter.finish()
        return Comparison(segments=segments, bytes=size, ended=self._ended, findings=tuple(self._findings))

    def _first(self) -> int:
        return (_removed(self._directory) or (0,))[0]

    def _compare_segment(self, number: int) -> int:
        hashes: Mapping[str, str] = {}
        with suppress(ValueError, FileNotFoundError):  # `verify` says so, or it is gone
            hashes = Seal.of(self._directory, number).sha256
        size = sum(self._compare(data_name(stream, number), hashes.get(stream)) for stream in STREAMS)
        self._compare(index_name(number), hashes.get("index"))
        self._compare(seal_name(number), None)
        return size

    def _compare(self, name: str, sha256: str | None) -> int:
        """Compare a file with its copy; return how many bytes it has here, as far as that was looked at."""
        copy = self._open_object(name)
        if copy is None:
            if self._ended:
                self._find(name, "the storage does not hold it")
            return 0
        with ExitStack() as stack:
            stack.callback(getattr(copy, "close", bool))
            try:
                return self._compare_content(name, stack.enter_context(open_data(self._directory, name)), copy, sha256)
            except (FileNotFoundError, *UNREADABLE) as error:
                self._find(name, f"it cannot be read here ({error}), the storage holds a copy")
                return 0

    def _compare_content(self, name: str, file: BinaryIO, copy: ByteReader, sha256: str | None) -> int:
        first, here, there = None, _Side(), _Side()
        while any(both := (here.read(file), there.read(copy))):
            if both[0] != both[1] and first is None:
                pairs = zip_longest(*both)
                first = here.size - len(both[0]) + next(at for at, (one, other) in enumerate(pairs) if one != other)
            self._meter.count(len(both[0]))
        if first is not None:
            text = f"the storage's copy differs from byte {first} on"
            if here.size != there.size:
                text += (
                    f", and is {abs(here.size - there.size)} bytes {'longer' if there.size > here.size else 'shorter'}"
                )
            if sha256 in {here.digest.hexdigest(), there.digest.hexdigest()}:
                text += f"; the hashes prove {'what is here' if here.digest.hexdigest() == sha256 else 'the copy'}"
            length = max(here.size, there.size) - first
            self._findings.append(Finding(file=name, offset=first, length=length, problem=text))
        return here.size


class _Side:
    """A file or its copy: how much was read of it, and the hash of that."""

    def __init__(self) -> None:
        self.size, self.digest = 0, hashlib.sha256()

    def read(self, source: ByteReader) -> bytes:
        """Return the next piece, a short one only at the end: sockets give what has come."""
        parts, left = [], PIECE
        while left and (part := source.read(left)):
            left -= len(part)
            parts.append(part)
        piece = b"".join(parts)
        self.size += len(piece)
        self.digest.update(piece)
        return piece
