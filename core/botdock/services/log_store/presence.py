"""Which files of a segment are there, while it may be compressed or removed."""

from __future__ import annotations

from pathlib import Path

from botdock.services.log_store.layout import RECORD, STREAMS, compressed_name, data_name, index_name, seal_name
from botdock.services.log_store.seal import Seal


def present_files(directory: Path, number: int) -> list[str]:
    """Return the names of the files of a segment."""
    data = [data_name(stream, number) for stream in STREAMS]
    names = [*data, *map(compressed_name, data), index_name(number), seal_name(number)]
    return [name for name in names if (directory / name).exists()]


def missing_files(directory: Path, number: int) -> list[str]:
    """Return the names of those that a segment needs and does not have; its seal is left out."""
    names = [name for stream in STREAMS if not _is_there(directory, name := data_name(stream, number))]
    index = index_name(number)
    return names if (directory / index).exists() else [*names, index]


def _is_there(directory: Path, name: str) -> bool:
    """Return whether a file is there; asks for the plain one first, which goes when the compressed one is there."""
    return (directory / name).exists() or (directory / compressed_name(name)).exists()


def content_size(directory: Path, number: int, seal: Seal | None) -> int:
    """Return how many bytes a segment has, unpacked: what its seal says, or what there is of one without."""
    if seal:
        return seal.tally.bytes + seal.tally.records * RECORD.size
    paths = [directory / name for name in (*(data_name(stream, number) for stream in STREAMS), index_name(number))]
    return sum(path.stat().st_size for path in paths if path.exists())
