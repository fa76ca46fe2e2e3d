"""One segment that is being written: its three files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from botdock._whole_files import sync_folder
from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store.layout import (
    RECORD,
    STREAMS,
    VERSION,
    Record,
    data_name,
    index_name,
    seal_name,
    write_document,
)
from botdock.services.log_store.tally import Tally

if TYPE_CHECKING:
    Hash = hashlib._Hash  # noqa: SLF001 - what `hashlib.sha256` returns has no other name


class Segment:
    """The files of one segment, appended to in step: first the bytes of a chunk, then its record.

    Files are opened when they are needed, so that a silent log holds no descriptors. One thread appends; another may
    `sync`.

    Args:
        directory: Of the log.
        number: Of the segment.
        tally: What is in it already.
        hashes: Running SHA-256 of what is in it already, by stream.
        index_hash: The same of its index.
        sealed: Whether nothing more is added to it.
    """

    def __init__(
        self,
        directory: Path,
        number: int,
        *,
        tally: Tally | None = None,
        hashes: dict[Stream, Hash] | None = None,
        index_hash: Hash | None = None,
        sealed: bool = False,
    ) -> None:
        self.sealed = sealed
        self.number = number
        self.tally = tally or Tally()
        self.hashes = hashes or {stream: hashlib.sha256() for stream in STREAMS}
        self._index_hash = index_hash or hashlib.sha256()
        self._directory = directory
        self._names = {stream: data_name(stream, number) for stream in STREAMS}
        self._index_name = index_name(number)
        self._descriptors: dict[str, int] = {}
        self._unsynced = False
        self._named = False
        self._torn = False

    def create(self) -> None:
        """Make the files, empty, so that whoever reads the log finds all three.

        Raises:
            OSError: The disk refused.
        """
        for name in (*self._names.values(), self._index_name):
            self._descriptor(name)

    def append(self, chunk: LogChunk, masked: int) -> None:
        """Store a chunk; all of it or nothing.

        Raises:
            OSError: The disk took no more.
        """
        data = chunk.data
        record = Record.proving(data, time_ns=chunk.time_ns, stream=chunk.stream, masked=masked)
        packed = record.pack()
        with self._all_or_nothing():
            _write_all(self._descriptor(self._names[chunk.stream]), data)
            _write_all(self._descriptor(self._index_name), packed)
        self._index_hash.update(packed)
        self.hashes[chunk.stream].update(data)
        self.tally.count(record, data.count(b"\n"))
        self._unsynced = True

    def note(self, record: Record) -> None:
        """Store a record that has no bytes.

        Raises:
            OSError: The disk took no more.
        """
        packed = record.pack()
        with self._all_or_nothing():
            _write_all(self._descriptor(self._index_name), packed)
        self._index_hash.update(packed)
        self.tally.count(record)
        self._unsynced = True

    def sync(self) -> None:
        """Make safe from a power cut what was stored so far; waits for the disk, but keeps no `append` waiting.

        Raises:
            OSError: The disk failed.
        """
        if not self._unsynced:
            return
        self._unsynced = False
        try:
            for name in (*self._names.values(), self._index_name):  # a record may be there only where its bytes are
                _sync_file(self._directory / name)
            if not self._named:
                sync_folder(self._directory)
                self._named = True
        except OSError:
            self._unsynced = True
            raise

    def seal(self) -> None:
        """Write down, safely, that nothing more comes.

        Raises:
            OSError: The disk took no more.
        """
        if self.sealed:
            return
        self.sync()
        hashes = {stream.value: digest.hexdigest() for stream, digest in self.hashes.items()}
        hashes["index"] = self._index_hash.hexdigest()
        document = {"version": VERSION, "segment": self.number, "sha256": hashes, **self.tally.to_json()}
        write_document(self._directory / seal_name(self.number), document)
        self.sealed = True

    def close(self) -> None:
        """Close the files; the next `append` opens them again. Another thread may close them at the same time."""
        with suppress(KeyError):
            while True:  # one call takes a descriptor out: a number that is closed twice may be another file's by then
                os.close(self._descriptors.popitem()[1])

    def _descriptor(self, name: str) -> int:
        descriptor = self._descriptors.get(name)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._directory / name, flags, 0o600)
            self._descriptors[name] = descriptor
        return descriptor

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take back the half of a chunk that a full disk took; where that fails too, nothing is added before it is."""
        if self._torn:
            self._take_back()
        try:
            yield
        except BaseException as error:
            self._torn = True
            try:
                self._take_back()
            except OSError as other:
                error.add_note(f"and what it took could not be taken back yet: {other.strerror}")
            raise

    def _take_back(self) -> None:
        """Shorten the files to what counts."""
        for stream, name in self._names.items():
            os.ftruncate(self._descriptor(name), self.tally.streams[stream].bytes)
        os.ftruncate(self._descriptor(self._index_name), self.tally.records * RECORD.size)
        self._torn = False


def _sync_file(path: Path) -> None:
    """Make the bytes of a file safe, whoever wrote them: `fdatasync` is about the file, not about the descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(descriptor, view) :]
