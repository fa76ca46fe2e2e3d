"""The end of a log that may still grow."""

from __future__ import annotations

from pathlib import Path

from botdock.errors import LogError
from botdock.model.logs import LogChunk, Stream
from botdock.services.log_store import LogReader, Position
from botdock.services.log_store.layout import RECORD, Kind, Record, index_name, newest_segment


def read_tail(directory: Path, size: int) -> bytes:
    """Return the end of both streams, as they came: at most `size` bytes.

    Raises:
        LogError: The log cannot be read.
    """
    try:
        with LogReader(directory, _begin_of_tail(directory, size)) as reader:
            data = b"".join(entry.data for entry in reader.read() if isinstance(entry, LogChunk))
    except (OSError, ValueError) as error:
        raise LogError(f"the log in {directory} cannot be read: {error}") from error
    return data[-size:] if size else b""


def _begin_of_tail(directory: Path, size: int) -> Position:
    """Return a place behind which at least `size` bytes lie, or the first that is kept."""
    place = Position()
    number = newest_segment(directory)
    while number is not None and size > 0:
        try:
            records = _data_records((directory / index_name(number)).read_bytes())
        except FileNotFoundError:  # removed by retention, or never begun
            break
        place, size = _within(number, records, size)
        number -= 1
    return place


def _data_records(index: bytes) -> list[Record]:
    whole = len(index) - len(index) % RECORD.size
    return [Record.of(*fields) for fields in RECORD.iter_unpack(index[:whole])]


def _within(number: int, records: list[Record], size: int) -> tuple[Position, int]:
    """Return the place in one segment behind which `size` bytes lie, or its begin; and how many bytes lack then."""
    first = len(records)
    while first and size > 0:
        first -= 1
        size -= _length(records[first])
    offsets = dict.fromkeys(Stream, 0)
    for record in records[:first]:
        offsets[record.stream] += _length(record)
    return Position(segment=number, record=first, offsets=offsets), size


def _length(record: Record) -> int:
    return record.length if record.kind is Kind.DATA else 0
