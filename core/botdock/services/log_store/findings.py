"""What a verification says: how far it is, and what it found."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path

import attrs

from botdock.model.logs import LogSummary
from botdock.services.log_store.files import PIECE
from botdock.services.log_store.layout import segment_of

OnProgress = Callable[[int, int], object]
"""Told how many bytes have been checked, of how many; never fewer than before, and all of them at last."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is not as it was stored.

    Attributes:
        file: Name of the file in the folder of the log.
        offset: Its byte from which on it is wrong, or None where it is about the file; of a compressed one, a byte of
            its content.
        length: How many bytes, or None where nobody can say.
        problem: What is wrong, in people's words.
    """

    file: str
    offset: int | None = None
    length: int | None = None
    problem: str


@attrs.frozen(kw_only=True)
class Verification:
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
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@attrs.frozen(kw_only=True)
class Comparison:
    """What was compared with the storage's copy, and what was found.

    Attributes:
        segments: Segments that were compared.
        bytes: Bytes of both streams that were read here for it.
        ended: Whether the log has ended; of one that has not, what is missing there is on its way.
        findings: What differs; none where the copy is as the log.
    """

    segments: int
    bytes: int
    ended: bool
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Meter:
    """Tells how far a check is, in bytes as they lay on disk when it began, about once for each MiB of them.

    A segment is read more than once, and may be unpacked, compressed or added to meanwhile. So what was read of it
    counts as a share of all that is to be read of it, and that share of its bytes on disk is told.

    Args:
        directory: Of the log.
        numbers: Of the segments that are checked, in their order.
        on_progress: Who is told; None for nobody.
    """

    def __init__(self, directory: Path, numbers: Container[int], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._sizes = _sizes(directory, numbers) if on_progress is not None else {}
        self._total = sum(self._sizes.values())
        self._behind = self._size = self._expected = self._done = 0
        self._next = PIECE
        self._told = -PIECE
        self._tell(0)

    def begin(self, number: int, expected: int) -> None:
        """Come to a segment, or once more to the same one, of which about so many bytes are to be read."""
        self._size = self._sizes.get(number, 0)
        self._expected, self._done, self._next = expected, 0, PIECE

    def count(self, size: int) -> None:
        """Take note that so many bytes of it were read; costs next to nothing."""
        self._done += size
        if self._done >= self._next:
            self._next = self._done + PIECE
            self._tell(self._behind + self._size * self._done // max(self._expected, self._done))

    def end(self, number: int) -> None:
        """Leave a segment behind."""
        self._behind += self._sizes.pop(number, 0)
        self._size = 0
        self._tell(self._behind)

    def finish(self) -> None:
        """Tell that all was checked."""
        if self._on_progress is not None and self._told != self._total:
            self._on_progress(self._total, self._total)

    def _tell(self, checked: int) -> None:
        if self._on_progress is not None and checked >= self._told + PIECE:
            self._told = checked
            self._on_progress(checked, self._total)


def _sizes(directory: Path, numbers: Container[int]) -> dict[int, int]:
    """Return how many bytes the files of each segment have."""
    sizes: dict[int, int] = {}
    for name in os.listdir(directory):  # noqa: PTH208 - only names
        number = segment_of(name)
        if number is not None and number in numbers:
            with suppress(FileNotFoundError):  # compressed or removed in this instant
                sizes[number] = sizes.get(number, 0) + (directory / name).stat().st_size
    return sizes
