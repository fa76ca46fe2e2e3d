"""What becomes of a segment to which nothing is added any more: it is compressed, and removed when its time comes."""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from botdock._whole_files import replacing
from botdock.services.log_store.layout import (
    DRAFT_SUFFIX,
    REMOVED,
    STREAMS,
    VERSION,
    compressed_name,
    data_name,
    is_draft,
    parse_document,
    read_document,
    seal_name,
    segment_of,
    write_document,
)
from botdock.services.log_store.tally import Tally

LEVEL = 1
"""Of gzip: lines shrink to a tenth with the quickest, and the bots want the processors."""


def compress_segment(directory: Path, number: int) -> None:
    """Compress the files with the bytes of a sealed segment; the index stays as it is, to be read from any place.

    A crash leaves the plain file, or both, or the compressed one; who reads takes the plain one as long as it is there.
    Nobody else is locked out: two may compress the same segment, and others may remove it or take over the log.

    Raises:
        OSError: The disk took no more, or whoever took the log over swept what was not whole; the plain file stays.
    """
    for stream in STREAMS:
        path = directory / data_name(stream, number)
        try:
            source = path.open("rb")
        except FileNotFoundError:  # compressed or removed by somebody else
            continue
        with source:
            _compress(source, directory / compressed_name(path.name))
        path.unlink(missing_ok=True)
    with suppress(ValueError):  # it is damaged: what was removed, nobody knows
        if read_removed(directory)[0] > number:  # meanwhile: what was made since then belongs to nothing
            _clear(directory, [compressed_name(data_name(stream, number)) for stream in STREAMS])


def _compress(source: BinaryIO, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}{DRAFT_SUFFIX}")
    with (
        replacing(target, draft=draft) as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1024 * 1024)


def remove_segment(directory: Path, number: int, removed: Tally) -> None:
    """Remove the oldest segment that is kept.

    Args:
        directory: Of the log.
        number: Of the segment.
        removed: What is in all segments that are gone then, this one among them; `removed.json` holds it before the
            first file goes.

    Raises:
        OSError: The disk refused.
    """
    write_document(directory / REMOVED, {"version": VERSION, "segments": number + 1, **removed.to_json()})
    _clear(directory, _removed_names(os.listdir(directory), number + 1))  # noqa: PTH208 - only names


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


def sweep(directory: Path) -> None:
    """Remove what a crash may have left: files of segments that `removed.json` calls removed, and half-written ones.

    A file that is there both plain and compressed stays so: whoever compressed it may be about to remove the plain one.

    Raises:
        OSError: The disk refused.
        ValueError: `removed.json` is damaged.
    """
    count, _ = read_removed(directory)
    names = os.listdir(directory)  # noqa: PTH208 - only names
    drafts = [name for name in names if is_draft(name)]
    _clear(directory, [*_removed_names(names, count), *drafts])


def _removed_names(names: list[str], count: int) -> list[str]:
    return [name for name in names if (number := segment_of(name)) is not None and number < count]


def _clear(directory: Path, names: list[str]) -> None:
    for name in sorted(names, key=lambda name: name.startswith("index.")):
        (directory / name).unlink(missing_ok=True)


class Ledger:
    """The counts of the segments that retention has removed, of those that are closed, and of the newest.

    Safe to use from several threads; `current` grows without its lock, since only one of them adds to it.

    Args:
        removed: What was in the segments that are gone.
        removed_segments: How many those are.
        closed: What is in those that the log no longer goes on in.
        current: What is in the newest, which grows.
    """

    def __init__(self, *, removed: Tally, removed_segments: int, closed: Tally, current: Tally) -> None:
        self.removed_segments = removed_segments
        self._removed = removed
        self._closed = closed
        self._current = current
        self._lock = threading.Lock()
        self.ended = False
        """Whether it is written down what the log holds: nothing of it may go any more."""

    def go_on(self, following: Tally) -> None:
        """Close the newest segment, and begin another."""
        with self._lock:
            self._closed.add(self._current)
            self._current = following

    def kept(self) -> Tally:
        """Return what is there."""
        with self._lock:
            return sum_of(self._closed, self._current)

    def removed(self) -> Tally:
        """Return what was there and is gone."""
        with self._lock:
            return sum_of(self._removed)

    def whole(self) -> Tally:
        """Return both together."""
        with self._lock:
            return sum_of(self._removed, self._closed, self._current)

    def remove_oldest(self, directory: Path) -> bool:
        """Remove the oldest segment, if it is sealed and the log has not ended; return whether it was.

        One thread at a time may call it.

        Raises:
            OSError: The disk refused.
        """
        if self.ended:
            return False
        seal = read_document(directory / seal_name(self.removed_segments))
        if seal is None:
            return False
        tally = Tally.from_json(seal)
        remove_segment(directory, self.removed_segments, sum_of(self.removed(), tally))
        with self._lock:
            self._closed.add(tally, sign=-1)
            self._removed.add(tally)
            self.removed_segments += 1
        return True


def sum_of(*tallies: Tally) -> Tally:
    """Return what all of them hold together."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
