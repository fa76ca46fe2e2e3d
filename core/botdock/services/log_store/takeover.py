"""What a log holds that somebody else has begun: read back, and brought to order."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from botdock.model.logs import Stream
from botdock.services.log_store.files import open_data, pieces
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    Kind,
    Record,
    data_name,
    index_name,
    newest_segment,
    read_document,
    seal_name,
)
from botdock.services.log_store.retention import read_removed
from botdock.services.log_store.segment import Segment
from botdock.services.log_store.tally import Tally

if TYPE_CHECKING:
    from botdock.services.log_store.segment import Hash

TAIL = 4096
"""Bytes of the end of a stream that a cursor carries."""


@attrs.define(kw_only=True)
class Found:
    """What lies in the folder of a log.

    Attributes:
        removed: What retention has removed.
        removed_segments: How many segments that were.
        closed: What is in the segments before the newest one, those that were removed left out.
        current: The newest segment, or None when there is none; it may be sealed.
        unsealed: Those before it that still have to be sealed.
        hashes: Running SHA-256 of all that is kept, by stream.
        tails: The ends of the streams.
    """

    removed: Tally = attrs.field(factory=Tally)
    removed_segments: int = 0
    closed: Tally = attrs.field(factory=Tally)
    current: Segment | None = None
    unsealed: list[Segment] = attrs.field(factory=list)
    hashes: dict[Stream, Hash] = attrs.field(factory=lambda: {stream: hashlib.sha256() for stream in STREAMS})
    tails: dict[Stream, bytes] = attrs.field(factory=lambda: dict.fromkeys(STREAMS, b""))


def take_over(directory: Path) -> Found:
    """Read back what lies in the folder of a log, and take away what was not stored to its end.

    A chunk counts from the moment on at which its record is there. So bytes without a record go; the next collector
    gets them from the engine once more. Records without their bytes, which a power cut may leave, go too.

    Raises:
        OSError: The disk refused.
        ValueError: What lies there is not what a collector leaves.
    """
    found = Found()
    found.removed_segments, found.removed = read_removed(directory)
    newest = newest_segment(directory)
    if newest is None:
        return found
    for number in range(found.removed_segments, newest + 1):
        if found.current:
            found.closed.add(found.current.tally)
            found.unsealed += [] if found.current.sealed else [found.current]
        found.current, whole = _segment(directory, number)
        _digest(directory, number, found)
        if not whole:
            _discard_after(directory, number, newest)
            break
    return found


def _segment(directory: Path, number: int) -> tuple[Segment, bool]:
    """Return a segment, and whether all is there that was ever added to it."""
    if (seal := read_document(directory / seal_name(number))) is not None:
        return Segment(directory, number, tally=Tally.from_json(seal), sealed=True), True
    return _repaired(directory, number)


def _discard_after(directory: Path, number: int, newest: int) -> None:
    """Remove the segments behind one that a power cut took a piece of: their bytes come again, in order."""
    for later in range(number + 1, newest + 1):
        for name in (*(data_name(stream, later) for stream in STREAMS), index_name(later), seal_name(later)):
            (directory / name).unlink(missing_ok=True)


def _digest(directory: Path, number: int, found: Found) -> None:
    """Go on with the hashes of the whole, and with the ends."""
    for stream in STREAMS:
        with open_data(directory, data_name(stream, number)) as file:
            for piece in pieces(file):
                found.hashes[stream].update(piece)
                found.tails[stream] = (found.tails[stream] + piece[-TAIL:])[-TAIL:]


def _repaired(directory: Path, number: int) -> tuple[Segment, bool]:
    """Return a segment that somebody was still adding to, cut down to what its index proves; and whether it was all."""
    paths = {stream: directory / data_name(stream, number) for stream in STREAMS}
    index = directory / index_name(number)
    for path in (*paths.values(), index):
        path.touch(mode=0o600)
    good = _prove(paths, index)
    tally, hashes, index_hash = Tally(), {stream: hashlib.sha256() for stream in STREAMS}, hashlib.sha256()
    with _opened(paths) as files:
        for packed, record in _records(index, good):
            index_hash.update(packed)
            newlines = 0
            for piece in _data(files, record):
                hashes[record.stream].update(piece)
                newlines += piece.count(b"\n")
            tally.count(record, newlines)
    cut = [_cut(index, good * RECORD.size)]
    cut += [_cut(path, tally.streams[stream].bytes) for stream, path in paths.items()]
    return Segment(directory, number, tally=tally, hashes=hashes, index_hash=index_hash), not any(cut)


def _cut(path: Path, size: int) -> bool:
    """Shorten a file to `size` bytes; return whether it was longer."""
    longer = path.stat().st_size > size
    if longer:
        os.truncate(path, size)
    return longer


def _prove(paths: dict[Stream, Path], index: Path) -> int:
    """Return how many records there are up to the last one whose bytes are there as they were written.

    Damage further ahead is no crash's doing; it stays for `logs --verify` to tell.
    """
    proven = 0
    with _opened(paths) as files:
        for position, (_, record) in enumerate(_records(index), start=1):
            crc, length = record.head_crc, 0
            for piece in _data(files, record):
                crc, length = zlib.crc32(piece, crc), length + len(piece)
            if record.kind is Kind.DATA and length < record.length:
                break
            if crc == record.crc:
                proven = position
    return proven


def _data(files: dict[Stream, BinaryIO], record: Record) -> Iterator[bytes]:
    return pieces(files[record.stream], record.length) if record.kind is Kind.DATA else iter(())


def _records(index: Path, count: int | None = None) -> Iterator[tuple[bytes, Record]]:
    with index.open("rb") as file:
        position = 0
        while (count is None or position < count) and len(packed := file.read(RECORD.size)) == RECORD.size:
            if not any(packed):  # a power cut left zeros
                return
            try:
                yield packed, Record.of(*RECORD.unpack(packed))
            except ValueError:  # or a piece of another file
                return
            position += 1


@contextmanager
def _opened(paths: dict[Stream, Path]) -> Iterator[dict[Stream, BinaryIO]]:
    with ExitStack() as stack:
        yield {stream: stack.enter_context(path.open("rb")) for stream, path in paths.items()}
