"""One segment that is being written, begun anew or taken over from a collector that has died."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock._whole_files import sync_folder
from botdock.model.logs import Stream
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    VERSION,
    Record,
    data_name,
    index_name,
    is_draft,
    newest_segment,
    open_data,
    pieces,
    remove_segments,
    seal_name,
    segment_of,
    write_document,
)
from botdock.services.log_store.reader import OpenSegment
from botdock.services.log_store.tally import Tally, sealed

if TYPE_CHECKING:
    Hash = hashlib._Hash  # noqa: SLF001 - what `hashlib.sha256` returns has no other name

TAIL = 4096
"""Bytes of the end of a stream that a cursor carries."""


class Segment:
    """The files of one segment, appended to in step: first the bytes of a chunk, then its record.

    Files are opened when they are needed, so that a silent log holds no descriptors. One thread appends; others may
    `sync` and `close`.

    Args:
        directory: Of the log.
        number: Of the segment.
        before: The one before it, unless it is the first that is kept.
        tally: What its seal says that is in it, when it has one; nothing is added to it then.

    Attributes:
        tally: What is in it.
        whole: Running SHA-256 of each stream, from the first segment that was kept to here.
        tails: The ends of the streams.
        sealed: Whether nothing more is added to it.
    """

    def __init__(
        self, directory: Path, number: int, before: Segment | None = None, *, tally: Tally | None = None
    ) -> None:
        self.sealed = tally is not None
        self.number = number
        self.tally = tally or Tally()
        self._hashes = {stream: hashlib.sha256() for stream in STREAMS}
        self.whole: dict[Stream, Hash] = self._hashes  # of the first segment, the hash of the part is that of the whole
        self.tails = dict.fromkeys(STREAMS, b"")
        if before:
            self.whole = {stream: digest.copy() for stream, digest in before.whole.items()}
            self.tails = dict(before.tails)
        self._index_hash = hashlib.sha256()
        self._directory = directory
        self._names = {stream: data_name(stream, number) for stream in STREAMS}
        self._index_name = index_name(number)
        self._descriptors: dict[str, int] = {}
        self._unsynced = False
        self._named = False
        self._torn = False

    def create(self) -> None:
        """Make the files, empty, so that a reader of the log finds all three; a silent log holds none of them open."""
        for name in (*self._names.values(), self._index_name):
            (self._directory / name).touch(0o600)

    def append(self, record: Record, data: bytes = b"") -> None:
        """Store a chunk and its record, or one that has no bytes; all of it or nothing."""
        if self._torn:
            self.cut()
        packed = record.pack(data)
        try:
            if data:
                _write_all(self._descriptor(self._names[record.stream]), data)
            _write_all(self._descriptor(self._index_name), packed)
        except BaseException as error:
            self._take_back(error)
            raise
        self.count(record, packed, data)
        self._unsynced = True

    def count(self, record: Record, packed: bytes, data: bytes) -> None:
        """Count a record, and the bytes of its chunk, that lie in the files."""
        self._index_hash.update(packed)
        self.tally.count(record, data.count(b"\n"))
        stream = record.stream
        self._hashes[stream].update(data)
        if self.whole is not self._hashes:
            self.whole[stream].update(data)
        self.tails[stream] = (self.tails[stream] + data[-TAIL:])[-TAIL:]

    def sync(self, *, named: bool = True) -> None:
        """Make safe from a power cut what was stored so far; waits for the disk, but keeps no `append` waiting.

        Unless it is `named`, what is written next to the folder brings the names of new files to the disk.
        """
        if not self._unsynced:
            return
        self._unsynced = False
        try:
            written = [name for stream, name in self._names.items() if self.tally.streams[stream].bytes]
            for name in (*written, self._index_name):  # a record may be there only where its bytes are
                descriptor = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    os.fdatasync(descriptor)  # which is about the file, whichever descriptor it was written by
                finally:
                    os.close(descriptor)
            if named and not self._named:
                sync_folder(self._directory)
                self._named = True
        except OSError:
            self._unsynced = True
            raise

    def seal(self, *, named: bool = True) -> None:
        """Write down, safely, that nothing more comes, and close the files; see `sync` for `named`."""
        if self.sealed:
            return
        self.sync(named=named)
        hashes = {stream.value: digest.hexdigest() for stream, digest in self._hashes.items()}
        hashes["index"] = self._index_hash.hexdigest()
        document = {"version": VERSION, "segment": self.number, "sha256": hashes, **attrs.asdict(self.tally)}
        write_document(self._directory / seal_name(self.number), document, named=named)
        self.sealed = True
        self.close()

    def close(self) -> None:
        """Close the files; the next `append` opens them again. Another thread may close them at the same time."""
        with suppress(KeyError):
            while True:  # one call takes a descriptor out: a number that is closed twice may be another file's by then
                os.close(self._descriptors.popitem()[1])

    def cut(self) -> bool:
        """Shorten the files to what counts; return whether one of them was longer."""
        sizes = {self._index_name: self.tally.records * RECORD.size}  # first: no record may stay without its bytes
        sizes |= {name: self.tally.streams[stream].bytes for stream, name in self._names.items()}
        longer = [name for name, size in sizes.items() if os.fstat(self._descriptor(name)).st_size > size]
        for name in longer:
            os.ftruncate(self._descriptor(name), sizes[name])
        self._torn = False
        return bool(longer)

    def _descriptor(self, name: str) -> int:
        descriptor = self._descriptors.get(name)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._directory / name, flags, 0o600)
            self._descriptors[name] = descriptor
        return descriptor

    def _take_back(self, error: BaseException) -> None:
        """Take back the half of a chunk that a full disk took; where that fails too, nothing is added before it is."""
        self._torn = True
        try:
            self.cut()
        except OSError as other:
            error.add_note(f"and what it took could not be taken back yet: {other.strerror}")


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(descriptor, view) :]


def take_over(directory: Path, first: int) -> Iterator[Segment]:
    """Yield the segments that lie in the folder of a log, each brought to order, and all closed.

    A chunk counts from the moment on at which its record is there. So bytes without a record go; the next collector
    gets them from the engine once more. Records without their bytes, which a power cut may leave, go too, and with them
    the segments behind them: their bytes come again, in order.

    What a crash may have left goes first: half-written files, and those of segments that were removed. A file that is
    there both plain and compressed stays so: the compressor may be about to remove the plain one.

    Args:
        directory: Of the log.
        first: Number of the first segment that was not removed.

    Raises:
        OSError: The disk refused.
        ValueError: What lies there is not what a collector leaves.
    """
    for name in os.listdir(directory):  # noqa: PTH208 - only names
        if is_draft(name) or ((number := segment_of(name)) is not None and number < first):
            (directory / name).unlink(missing_ok=True)
    newest, segment = newest_segment(directory), None
    for number in range(first, first if newest is None else newest + 1):
        tally = sealed(directory, number)
        segment = Segment(directory, number, segment, tally=tally)
        was_whole = _hash_sealed(directory, segment) if tally else _repair(directory, segment)
        yield segment
        if not was_whole:
            remove_segments(directory, range(number + 1, (newest or 0) + 1))
            return


def _hash_sealed(directory: Path, segment: Segment) -> bool:
    """Go on with the hashes and ends of the streams; it is whole, since it was sealed."""
    for stream in STREAMS:
        with open_data(directory, data_name(stream, segment.number)) as file:
            for piece in pieces(file):
                segment.whole[stream].update(piece)
                segment.tails[stream] = (segment.tails[stream] + piece[-TAIL:])[-TAIL:]
    return True


def _repair(directory: Path, segment: Segment) -> bool:
    """Count what the index proves, and cut away the rest; return whether there was none.

    Records count up to the last one whose bytes are there as they were written: damage further ahead is not a crash's
    doing; it stays for `logs --verify` to tell.
    """
    segment.create()
    unproven: list[tuple[Record, bytes]] = []
    with closing(OpenSegment(directory, segment.number)) as found, suppress(ValueError):
        # which says that what follows is not a record, or lacks bytes
        for record in found.records():
            data = b"".join(found.bytes_of(record))
            unproven.append((record, data))
            if record.proof(data) == record.crc:
                for one, its_data in unproven:
                    segment.count(one, one.head + one.crc.to_bytes(4, "little"), its_data)
                unproven.clear()
    was_longer = segment.cut()
    segment.close()
    return not was_longer
