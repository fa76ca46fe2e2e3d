"""The log of one execution on disk.

`stdout.0` and `stderr.0` hold exactly the bytes that the bot wrote, so that `grep`, `tail` and `sha256sum` work on
them. `index.0` holds one fixed record per chunk (time, stream, length), which gives back their order and time.
Data is written before its record: what a crash leaves over is data without a record, never the other way round.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import attrs

from botdock.errors import LogError
from botdock.model.logs import LogChunk, LogCursor, LogSummary, Stream

RECORD = struct.Struct("<QII")
"""Nanoseconds since the epoch, number of the stream, bytes."""
_STREAMS = (Stream.STDOUT, Stream.STDERR)
_NUMBERS = {stream: number for number, stream in enumerate(_STREAMS)}
_READ_SIZE = 256 * 1024


def stream_file(directory: Path, stream: Stream) -> Path:
    """Return the file that holds the bytes of a stream."""
    return directory / f"{stream}.0"


def index_file(directory: Path) -> Path:
    """Return the file that holds the records."""
    return directory / "index.0"


@attrs.define
class _StreamState:
    """One stream's file, with what is known of its content."""

    descriptor: int
    size: int = 0
    newlines: int = 0
    ends_open: bool = False
    hash: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    def append(self, data: bytes) -> None:
        _write_all(self.descriptor, data)
        self.size += len(data)
        self.newlines += data.count(b"\n")
        self.ends_open = not data.endswith(b"\n")
        self.hash.update(data)

    @property
    def lines(self) -> int:
        return self.newlines + self.ends_open


class LogWriter:
    """Appends chunks, and keeps counts and hashes as it goes; an append costs the same however long the log is.

    Args:
        directory: Is made if it is not there; must hold no log yet.
        limit: Bytes of both streams together that are stored; what comes after is counted in `dropped`.

    Raises:
        LogError: The files could not be made.
    """

    def __init__(self, directory: Path, *, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self.dropped = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._streams = {stream: _StreamState(_open(stream_file(directory, stream))) for stream in _STREAMS}
            self._index = _open(index_file(directory))
        except OSError as error:
            raise LogError(f"cannot write the log in {directory}: {error.strerror}", hint=_space_hint()) from error

    def append(self, chunk: LogChunk) -> bytes:
        """Store a chunk, and return the part of it that the limit left room for.

        Raises:
            LogError: The disk took no more.
        """
        room = self._limit - self.bytes
        data = chunk.data if len(chunk.data) <= room else chunk.data[: max(room, 0)]
        self.dropped += len(chunk.data) - len(data)
        if data:
            self._store(chunk.stream, data, chunk.time_ns)
        return data

    def _store(self, stream: Stream, data: bytes, time_ns: int) -> None:
        try:
            self._streams[stream].append(data)
            _write_all(self._index, RECORD.pack(time_ns, _NUMBERS[stream], len(data)))
        except OSError as error:
            raise LogError(
                f"cannot write the log in {self._directory}: {error.strerror}", hint=_space_hint()
            ) from error

    @property
    def bytes(self) -> int:
        """Bytes stored of both streams."""
        return sum(state.size for state in self._streams.values())

    @property
    def cursor(self) -> LogCursor:
        """How much of each stream is stored."""
        return LogCursor(stdout=self._streams[Stream.STDOUT].size, stderr=self._streams[Stream.STDERR].size)

    def summary(self, *, gaps: int, complete: bool) -> LogSummary:
        """Return counts and hashes of what is stored."""
        streams: dict[str, dict[str, int | str]] = {
            stream.value: {"bytes": state.size, "lines": state.lines, "sha256": state.hash.hexdigest()}
            for stream, state in self._streams.items()
        }
        return LogSummary(
            bytes=self.bytes,
            lines=sum(state.lines for state in self._streams.values()),
            sha256=combined_hash({name: str(entry["sha256"]) for name, entry in streams.items()}),
            streams=streams,
            gaps=gaps + (self.dropped > 0),
            complete=complete,
        )

    def close(self) -> None:
        """Close the files; what was appended stays."""
        for descriptor in (*(state.descriptor for state in self._streams.values()), self._index):
            os.close(descriptor)


class LogReader:
    """Reads a log in the order in which it was written, also while it grows.

    Args:
        directory: Where a `LogWriter` writes or wrote.
    """

    def __init__(self, directory: Path) -> None:
        self._index = index_file(directory).open("rb")
        self._files = [stream_file(directory, stream).open("rb") for stream in _STREAMS]
        self._partial = b""

    def read(self) -> Iterator[LogChunk]:
        """Yield the chunks that have come since the last call."""
        while records := self._records():
            for time_ns, number, length in RECORD.iter_unpack(records):
                yield LogChunk(_STREAMS[number], self._files[number].read(length), time_ns)

    def skip_to_tail(self, size: int) -> None:
        """Skip what lies before the last chunks that hold `size` bytes; reads the index, not the log.

        Only for a reader that has read nothing yet.
        """
        count = self._index.seek(0, os.SEEK_END) // RECORD.size
        kept = [0, 0]
        while count and sum(kept) < size:
            count -= 1
            self._index.seek(count * RECORD.size)
            _, number, length = RECORD.unpack(self._index.read(RECORD.size))
            kept[number] += length
        indexed = self._lengths_before(count)
        for number, offset in enumerate(indexed):
            self._files[number].seek(offset)
        self._index.seek(count * RECORD.size)

    def _lengths_before(self, count: int) -> list[int]:
        self._index.seek(0)
        lengths = [0, 0]
        for _, number, length in RECORD.iter_unpack(self._index.read(count * RECORD.size)):
            lengths[number] += length
        return lengths

    def _records(self) -> bytes:
        data = self._partial + self._index.read(_READ_SIZE)
        whole = len(data) - len(data) % RECORD.size
        self._partial = data[whole:]
        return data[:whole]

    def close(self) -> None:
        """Close the files."""
        for file in (self._index, *self._files):
            file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def combined_hash(streams: dict[str, str]) -> str:
    """Return the one hash of a log: SHA-256 of a line `<stream> <its SHA-256>` for stdout, then for stderr."""
    text = "".join(f"{stream.value} {streams[stream.value]}\n" for stream in _STREAMS)
    return hashlib.sha256(text.encode()).hexdigest()


def read_tail(directory: Path, size: int) -> bytes:
    """Return the end of both streams, as they came: at most `size` bytes."""
    with LogReader(directory) as reader:
        reader.skip_to_tail(size)
        return b"".join(chunk.data for chunk in reader.read())[-size:]


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _space_hint() -> str:
    return "Free some space, or move the state folder with BOTDOCK_HOME."
